/** How the bench talks with its own processes: one JSON value per line, an answer to each question, in order. */
import { createInterface } from 'node:readline'
import type { z } from 'zod'
import type { Started } from './processes.ts'

export async function ask<T>(
  process: Started,
  question: unknown,
  answer: z.ZodType<T>,
): Promise<T> {
  process.send(JSON.stringify(question))
  return answer.parse(JSON.parse(await process.line()))
}

/** What a started process says first. */
export async function hear<T>(process: Started, answer: z.ZodType<T>): Promise<T> {
  return answer.parse(JSON.parse(await process.line()))
}

/** For the started process: says one value. */
export function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

/** For the started process: answers each question, and ends when nobody can ask any more. */
export function answerCommands<T>(
  question: z.ZodType<T>,
  answer: (q: T) => Promise<unknown>,
): void {
  let last = Promise.resolve()
  const lines = createInterface({ input: process.stdin })
  lines.on('line', (line) => {
    last = last.then(async () => say(await answer(question.parse(JSON.parse(line)))))
  })
  lines.on('close', () => process.exit(0))
}
