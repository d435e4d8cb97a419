/** Whether the gateway can listen where it is configured to, and who does already. */
import { formatListenAddress } from '../config/listen-address.ts'
import type { ListenAddress } from '../port.ts'
import { type CheckResult, type Finding, result, shellWord } from './finding.ts'
import type { ListeningProcess } from './listening-process.ts'

export interface PortFacts {
  /** `admin.listen` */
  readonly key: string
  readonly address: ListenAddress
  /** Why it cannot be listened on, e.g. EADDRINUSE; null when it can. */
  readonly error: string | null
  /** True when what listens there answers as a mesh-gateway does. */
  readonly isGateway: boolean
  readonly process: ListeningProcess | null
}

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'ports below 1024 need a permission that this user lacks',
  EADDRNOTAVAIL: 'it is not an address of this machine',
  ENOTFOUND: 'the host name does not resolve',
  ENOENT: 'the directory of the socket is not there',
}

/** All ports in the hands of one gateway are as they should be: it runs. */
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
  const who = isGateway
    ? 'another mesh-gateway, which answers there'
    : 'something that is no mesh-gateway'
  const named = process === null ? '' : `: ${process.name}, process ${process.pid}`
  if (address.path !== undefined)
    return {
      what: `${key} ${where} is taken by ${who}`,
      why,
      todo: `ss -lxp src ${shellWord(address.path)} shows who; end it, or start with ${flag}`,
    }
  return {
    what: `${key} ${where} is taken by ${who}${named}`,
    why,
    todo:
      process === null
        ? `ss -ltnp 'sport = :${address.port}' shows who; end it, or start with ${flag}`
        : `kill ${process.pid} if it is not needed, or start with ${flag}`,
  }
}
