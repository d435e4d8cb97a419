/** The files of examples/skill as processes, started as its README says. */
import { fileURLToPath } from 'node:url'
import { type RunningProcess, startProcess } from '../../scripts/dev/child-process.ts'
import { waitFor } from '../support/wait-for.ts'

export const ROOT = new URL('../../', import.meta.url)

export function startExample(file: string, args: readonly string[]): RunningProcess {
  return startProcess({
    ...{ name: file, file: new URL(file, ROOT), args },
    cwd: fileURLToPath(ROOT),
    foreign: true,
  })
}

/** The port on which the researcher serves. @throws Error with its last lines when it ends instead */
export async function servingPort(researcher: RunningProcess): Promise<number> {
  const state = { ended: false }
  void researcher.ended.then(() => {
    state.ended = true
  })
  return waitFor(
    'the researcher',
    () => {
      const [, port] = /serves summarize on port (\d+)/.exec(linesOf(researcher)) ?? []
      if (port === undefined && state.ended) throw new Error(linesOf(researcher))
      return Number(port ?? 0) || false
    },
    { withinMs: 90_000 },
  )
}

export function linesOf(process: RunningProcess): string {
  return process.lastLines().join('\n')
}
