// Drives one client library: a task comes in as a line of JSON, what the library made of it goes out as another.
//
//     node --preserve-symlinks --preserve-symlinks-main driver.mjs openai_sdk
//
// The same protocol as python/driver.py, which explains it.

import { createInterface } from 'node:readline';

const library = await import(`./${process.argv[2]}.mjs`);

tell({ ready: library.versions });
for await (const line of createInterface({ input: process.stdin })) {
  const task = JSON.parse(line);
  tell(await played(library.calls[task.call], task));
}

function tell(value) {
  process.stdout.write(JSON.stringify(value) + '\n');
}

/** `parts`: all that came before the end, or before the exception that is then `raised`. */
async function played(call, task) {
  const parts = [];
  try {
    const made = await call(task);
    if (made?.[Symbol.asyncIterator] === undefined) parts.push(made);
    else for await (const part of made) parts.push(plain(part));
  } catch (error) {
    return { parts, raised: described(error) };
  }
  return { parts };
}

/** A part as it is now: some libraries go on changing what they have handed out. */
function plain(value) {
  if (value?.error instanceof Error) return { ...value, error: described(value.error) };
  return value === undefined ? null : structuredClone(JSON.parse(JSON.stringify(value)));
}

/** Of an error what its makers tell about the answer behind it, whichever of the two SDKs they are. */
function described(error) {
  const { status, statusCode, code, param, type, isRetryable, responseBody, reason } = error;
  const facts = { status, statusCode, code, param, type, isRetryable, responseBody, reason };
  const last = error.lastError && error.lastError !== error ? { last: described(error.lastError) } : {};
  return { kind: error.constructor.name, message: error.message, ...facts, ...last };
}
