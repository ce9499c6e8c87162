// Vercel's `ai` with `@ai-sdk/openai`. A task's arguments are OpenAI's, and put in the SDK's words here.

import { readFileSync } from 'node:fs';

import { createOpenAI } from '@ai-sdk/openai';
import { embedMany, generateText, jsonSchema, Output, streamText, tool } from 'ai';

const manifest = (name) => JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url)));

export const versions = { ai: manifest('ai').version, '@ai-sdk/openai': manifest('@ai-sdk/openai').version };

const provider = (task) => createOpenAI({ baseURL: task.base_url, apiKey: task.key, headers: task.headers });

function settings(task, model) {
  const { messages, input, prompt, tools = [], max_tokens, temperature, response_format } = task.arguments;
  const schema = response_format?.json_schema;
  const instructions = messages?.find(({ role }) => role === 'system')?.content;
  return {
    model,
    instructions,
    ...(messages ? { messages: messages.filter(({ role }) => role !== 'system') } : { prompt: prompt ?? input }),
    maxRetries: task.max_retries,
    maxOutputTokens: max_tokens,
    temperature,
    tools: Object.fromEntries(tools.map(({ function: f }) => [f.name, tool({ ...f, inputSchema: jsonSchema(f.parameters) })])),
    ...(schema ? { output: Output.object({ name: schema.name, schema: jsonSchema(schema.schema) }) } : {}),
    onError() {}, // the stream tells; the default prints
  };
}

const chatSettings = (task) => settings(task, provider(task).chat(task.arguments.model));
const responsesSettings = (task) => settings(task, provider(task).responses(task.arguments.model));

function whole(result) {
  const { content, finishReason, rawFinishReason, usage, warnings, providerMetadata, response } = result;
  return { content, finishReason, rawFinishReason, usage, warnings, providerMetadata, body: response.body };
}

export const calls = {
  chat: async (task) => whole(await generateText(chatSettings(task))),

  chat_stream: (task) => withoutHeaders(streamText(chatSettings(task)).stream),

  structured: async (task) => (await generateText(chatSettings(task))).output,

  async *structured_stream(task) {
    const result = streamText(chatSettings(task));
    yield* result.partialOutputStream;
    yield await result.output;
  },

  async embeddings(task) {
    const model = provider(task).embedding(task.arguments.model);
    const made = await embedMany({ model, values: task.arguments.input, maxRetries: task.max_retries });
    return { embeddings: made.embeddings, usage: made.usage };
  },

  completions: async (task) => whole(await generateText(settings(task, provider(task).completion(task.arguments.model)))),

  completions_stream: (task) =>
    withoutHeaders(streamText(settings(task, provider(task).completion(task.arguments.model))).stream),

  responses: async (task) => whole(await generateText(responsesSettings(task))),

  responses_stream: (task) => withoutHeaders(streamText(responsesSettings(task)).stream),

  async leave_stream(task) {
    const controller = new AbortController();
    const { stream } = streamText({ ...chatSettings(task), abortSignal: controller.signal });
    let read = 0;
    let left_at;
    for await (const part of stream) {
      if (part.type !== 'text-delta' || ++read !== task.after) continue;
      left_at = Date.now() / 1000;
      controller.abort();
    }
    return { read, left_at };
  },

  async leave_waiting(task) {
    const abortSignal = AbortSignal.timeout(task.timeout_s * 1000);
    await generateText({ ...chatSettings(task), abortSignal }).then(
      () => Promise.reject(new Error('an answer came')),
      () => null,
    );
    return { read: 0, left_at: Date.now() / 1000 };
  },
};

/** The headers of an answer are compared elsewhere. */
async function* withoutHeaders(stream) {
  for await (const part of stream) {
    if (part.response?.headers) part.response.headers = {};
    yield part;
  }
}
