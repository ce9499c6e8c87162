// npm's `openai`. The arguments of a task are those of the call.

import { readFileSync } from 'node:fs';

import OpenAI, { toFile } from 'openai';
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

const bytes = (task) => Buffer.from(task.arguments.content);

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

  upload: async (task) =>
    client(task).files.create({ file: await toFile(bytes(task), 'rows.jsonl'), purpose: 'batch' }),

  files: (task) => client(task).files.list(task.arguments),

  async download(task) {
    const answer = await client(task).files.content(task.arguments.file_id);
    return [...new Uint8Array(await answer.arrayBuffer())];
  },

  delete: (task) => client(task).files.delete(task.arguments.file_id),

  transcribe: async (task) =>
    client(task).audio.transcriptions.create({
      file: await toFile(bytes(task), 'speech.wav'),
      model: task.arguments.model,
    }),

  async speak(task) {
    const answer = await client(task).audio.speech.create(task.arguments);
    return [...new Uint8Array(await answer.arrayBuffer())];
  },

  moderate: (task) => client(task).moderations.create(task.arguments),

  draw: (task) => client(task).images.generate(task.arguments),

  leave_stream: async (task) => left(await client(task).chat.completions.create(streamed(task)), task.after),

  leave_responses_stream: async (task) =>
    left(await client(task).responses.create({ model: task.arguments.model, input: 'Hi', stream: true }), task.after),

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

/** Read so much of a stream and break off: the SDK then aborts the request. */
async function left(stream, after) {
  let read = 0;
  let left_at;
  for await (const _ of stream) {
    left_at = Date.now() / 1000;
    if (++read === after) break;
  }
  return { read, left_at };
}
