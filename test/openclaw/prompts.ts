/** Prompts for the mock model, and what is read from its last words. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export const call = (tool: string, args: unknown): string => `CALL ${tool} ${JSON.stringify(args)}`

/** A's turn delegates to an agent of B. */
export const delegate = (input: string, more: object = {}): string =>
  call('mesh_delegate', { peer: 'oc-b', skill: 'ask', input, ...more })

/** The id of the task that the text is about. */
export function taskIdOf(text: string): string {
  return /\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b/.exec(text)?.[0] ?? ''
}

/** Ids of processes that sleep for so many seconds: each test has its own number. */
export async function sleepers(seconds: number): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,args=']).catch(() => ({
    stdout: '',
  }))
  return stdout
    .split('\n')
    .filter((line) => new RegExp(`^\\s*\\d+ sleep ${seconds}$`).test(line))
    .map((line) => line.trim().split(' ')[0] ?? '')
}
