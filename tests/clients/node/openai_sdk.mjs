// npm's `openai`. The arguments of a task are those of the call.

import { readFileSync } from 'node:fs';

import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const City = z.object({ name: z.string(), inhabitants: z.int(), districts: z.array(z.string()) });
const manifest = new URL('../node_modules/openai/package.json', import.meta.url);

export const versions = { openai: JSON.parse(readFileSync(manifest)).version };

const client = (task) =>
  new OpenAI({
    baseURL: task.base_url,
    apiKey: task.key,
    defaultHeaders: task.headers,
    maxRetries: task.max_retries,
    timeout: task.timeout_s * 1000,
  });

const streamed = (task) => ({ ...task.arguments, stream: true });

export const calls = {
  chat: (task) => client(task).chat.completions.create(task.arguments),

  chat_stream: (task) => client(task).chat.completions.create(streamed(task)),

  async *chat_events(task) {
    const stream = client(task).chat.completions.stream(task.arguments);
    yield* stream;
    yield stream.finalChatCompletion();
  },

  async structured(task) {
    const response_format = zodResponseFormat(City, 'city');
    const answer = await client(task).chat.completions.parse({ ...task.arguments, response_format });
    return answer.choices[0].message;
  },

  async raw(task) {
    const response = await client(task).chat.completions.create(task.arguments).asResponse();
    return { status: response.status, headers: [...response.headers], text: await response.text() };
  },

  embeddings: (task) => client(task).embeddings.create(task.arguments),

  completions: (task) => client(task).completions.create(task.arguments),

  completions_stream: (task) => client(task).completions.create(streamed(task)),

  responses: (task) => client(task).responses.create(task.arguments),

  responses_stream: (task) => client(task).responses.create(streamed(task)),

  async responses_structured(task) {
    const text = { format: zodTextFormat(City, 'city') };
    return (await client(task).responses.parse({ ...task.arguments, text })).output_parsed;
  },

  model: (task) => client(task).models.retrieve(task.arguments.model),

  async leave_stream(task) {
    const stream = await client(task).chat.completions.create(streamed(task));
    let read = 0;
    let left_at;
    for await (const _ of stream) {
      left_at = Date.now() / 1000;
      if (++read === task.after) break; // the SDK then aborts the request
    }
    return { read, left_at };
  },

  async leave_waiting(task) {
    const signal = AbortSignal.timeout(task.timeout_s * 1000);
    const answer = client(task).chat.completions.create(task.arguments, { signal, timeout: 60_000 });
    await answer.then(
      () => Promise.reject(new Error('an answer came')),
      () => null,
    );
    return { read: 0, left_at: Date.now() / 1000 };
  },
};
