/** The command mesh-gateway in this process: starting another takes a second of the CPU. */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { runCommand } from '../../../mesh-gateway/src/cli/run-command.ts'

export interface Said {
  readonly code: number
  readonly stdout: string
  /** As a terminal shows it. */
  readonly stderr: string
}

/** @param dir what relative paths are relative to */
export async function runHere(
  dir: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Said> {
  const said = { stdout: '', stderr: '' }
  const code = await runCommand(args, {
    env,
    cwd: dir,
    print: (line) => {
      said.stdout += `${line}\n`
    },
    say: (line) => {
      said.stderr += `mesh-gateway: ${line}\n`
    },
    writeError: (text) => {
      said.stderr += text
    },
    process: new EventEmitter(),
    exit: () => assert.fail('only the process may end'),
  })
  return { code, ...said }
}

/** An egress token of the gateway whose gateway.json is in the directory. */
export async function issueToken(dir: string, agent: string): Promise<string> {
  const of = ['--config', 'gateway.json', '--tenant', 'acme', '--agent-id', agent]
  const { code, stdout, stderr } = await runHere(dir, ['issue-token', ...of])
  assert.equal(code, 0, stderr)
  return stdout.trim()
}
