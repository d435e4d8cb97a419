/** VictoriaLogs, built from its Go module, and what a test asks it. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../../scripts/dev/free-ports.ts'
import { isRecord } from '../../../scripts/dev/message.ts'
import { type Program, startProgram } from '../../support/start-program.ts'
import { goTool } from '../tools/go-tool.ts'

export type Row = Readonly<Record<string, unknown>>

export interface VictoriaLogs {
  /** host:port, which stays. */
  readonly address: string
  /** The rows of a query in LogsQL, of all that has arrived. @throws Error with the answer, when it is refused */
  query(logsql: string): Promise<readonly Row[]>
  /** The number that a query with `| count() as n` gives. */
  count(logsql: string): Promise<number>
  /** Ends it in order, for a while. */
  stop(): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

export async function startVictoriaLogs(dir: string): Promise<VictoriaLogs> {
  const command = goTool('victoria-logs')
  const address = `127.0.0.1:${await freePort()}`
  await mkdir(dir, { recursive: true })
  const args = [`-storageDataPath=${join(dir, 'data')}`, `-httpListenAddr=${address}`]
  const ask = async (path: string, form: Record<string, string> = {}) => {
    const body = new URLSearchParams(form)
    const answer = await fetch(`http://${address}${path}`, { method: 'POST', body })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`VictoriaLogs answered ${answer.status}: ${text}`)
    return text
  }
  let program: Program | null = null
  const start = async () => {
    program = await startProgram({
      ...{ command, args: [...args, '-retentionPeriod=100y', '-loggerLevel=WARN'] },
      isReady: async () => (await ask('/health')) === 'OK',
    })
  }
  const stop = async () => {
    await program?.close()
    program = null
  }
  const query = async (logsql: string) => {
    // what came in the last second is not on disk yet, and is not shown
    await ask('/internal/force_flush')
    const text = await ask('/select/logsql/query', { query: logsql })
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map(rowOf)
  }
  await start()
  return {
    ...{ address, query, start, stop, close: stop },
    async count(logsql) {
      const [row] = await query(logsql)
      return Number(row?.n ?? 0)
    },
  }
}

function rowOf(line: string): Row {
  const row: unknown = JSON.parse(line)
  if (!isRecord(row)) throw new TypeError(`no row: ${line}`)
  return row
}
