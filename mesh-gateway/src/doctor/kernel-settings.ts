/** Checks settings of the kernel that bound how many connections begin at once, and how many go to one destination. */
import { readKernelFile } from '../process/control-groups.ts'
import { type CheckResult, result } from './finding.ts'

/** Connections that wait to be accepted: as many as Node asks for. */
const LEAST_WAITING = 511
const LEAST_PORTS = 10_000

/** Null where it is not known. */
export interface KernelSettings {
  /** net.core.somaxconn. */
  readonly waiting: number | null
  /** Ports of net.ipv4.ip_local_port_range. */
  readonly localPorts: number | null
}

export function checkKernelSettings({ waiting, localPorts }: KernelSettings): CheckResult {
  const about =
    waiting === null && localPorts === null
      ? 'not known'
      : `${waiting ?? 'unknown'} connections may wait, ${localPorts ?? 'unknown'} local ports`
  return result(
    'kernel',
    about,
    waiting === null || waiting >= LEAST_WAITING
      ? null
      : {
          what: `${waiting} connections may wait to be accepted (net.core.somaxconn)`,
          why: 'when many agents connect at once, some wait for a second or more, until they try again',
          todo: 'sysctl -w net.core.somaxconn=4096',
        },
    localPorts === null || localPorts >= LEAST_PORTS
      ? null
      : {
          what: `${localPorts} local ports are for outgoing connections (net.ipv4.ip_local_port_range)`,
          why: 'each connection to one address and port of a destination takes one, and for a minute after its end: then MESH_EGRESS_UNREACHABLE',
          todo: 'sysctl -w net.ipv4.ip_local_port_range="32768 60999"',
        },
  )
}

/** Of the network namespace of this process, and so of a gateway started from the same place. Linux only. */
export function readKernelSettings(): KernelSettings {
  const waiting = readKernelFile('/proc/sys/net/core/somaxconn') ?? ''
  const range = readKernelFile('/proc/sys/net/ipv4/ip_local_port_range') ?? ''
  const [, least, most] = /^(\d+)\s+(\d+)\s*$/.exec(range) ?? []
  return {
    waiting: /^\d+\s*$/.test(waiting) ? Number(waiting) : null,
    localPorts: least === undefined ? null : Number(most) - Number(least) + 1,
  }
}
