/** Checks whether the gateway can listen on its configured addresses, and which process already does. */
import { formatListenAddress } from '../net/listen-address.ts'
import type { ListenAddress } from '../net/port.ts'
import { type CheckResult, type Finding, result, shellWord } from './finding.ts'
import type { ListeningProcess } from './listening-process.ts'

export interface PortFacts {
  /** `admin.listen` */
  readonly key: string
  readonly address: ListenAddress
  /** Why the address cannot be listened on, e.g. EADDRINUSE; null when it can. */
  readonly error: string | null
  /** True when the listener answers like a mesh-gateway; null when it could not be asked, without a valid identity. */
  readonly isGateway: boolean | null
  readonly process: ListeningProcess | null
}

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'ports below 1024 need a permission that this user lacks',
  EADDRNOTAVAIL: 'it is not an address of this machine',
  ENOTFOUND: 'the host name does not resolve',
  ENOENT: 'the directory of the socket is not there',
}

const TAKEN_BY: Readonly<Record<string, string>> = {
  true: 'another mesh-gateway, which answers there',
  false: 'a program that does not answer as a mesh-gateway',
  null: 'a program that could not be asked whether it is a mesh-gateway: that takes a good certificate of the gateway',
}
/** Never advise to end a process: it may be the serving gateway. */
const SAFE_START = 'nothing, if that process is your gateway; else start this one with'

/** All ports held by one gateway are fine: it is running. */
export function checkPorts(ports: readonly PortFacts[]): CheckResult {
  const shown = ports.map(({ address }) => formatListenAddress(address)).join(', ')
  const pids = new Set(ports.flatMap(({ process }) => process?.pid ?? []))
  const runs = ports.length > 0 && ports.every((port) => port.isGateway) && pids.size <= 1
  if (runs) {
    const [pid] = pids
    return result(
      'ports',
      `${shown}: a mesh-gateway runs${pid === undefined ? '' : `, process ${pid}`}`,
    )
  }
  return result('ports', shown, ...ports.map(hindrance))
}

function hindrance({ key, address, error, isGateway, process }: PortFacts): Finding | null {
  if (error === null) return null
  const where = formatListenAddress(address)
  const flag = `--${key.replace('.', '-')} HOST:PORT`
  const why = 'the gateway does not start'
  if (error !== 'EADDRINUSE')
    return {
      what: `${key} ${where} cannot be listened on (${error})`,
      why: WHY[error] === undefined ? why : `${why}: ${WHY[error]}`,
      todo: `start it with ${flag}`,
    }
  const who = TAKEN_BY[String(isGateway)]
  const named = process === null ? '' : `: ${process.name}, process ${process.pid}`
  if (address.path !== undefined)
    return {
      what: `${key} ${where} is taken by ${who}`,
      why,
      todo: `${SAFE_START} ${flag}; \`ss -lxp src ${shellWord(address.path)}\` shows the process`,
    }
  return {
    what: `${key} ${where} is taken by ${who}${named}`,
    why,
    todo:
      process === null
        ? `${SAFE_START} ${flag}; \`ss -ltnp 'sport = :${address.port}'\` shows the process`
        : `${SAFE_START} ${flag}; \`ps -fp ${process.pid}\` shows what the process is`,
  }
}
