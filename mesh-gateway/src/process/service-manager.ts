/**
 * Tells systemd the state of the gateway: ready, reloading, stopping, alive (sd_notify(3)). Node has no datagram sockets
 * of Unix, so the program systemd-notify sends each message (docs/decisions/systemd-is-told-by-systemd-notify.md).
 */
import { execFile } from 'node:child_process'
import type { Log } from '@clawmesh/agent-sdk/mesh'

export interface ServiceManagerOptions {
  /** NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, as systemd sets them, and PATH. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly log: Pick<Log, 'warn'>
  /** Default: that of this process. */
  readonly pid?: number
  /** How often the status is looked at, in milliseconds. Default 5,000. */
  readonly followMs?: number
}

export interface ServiceManager {
  /** The gateway serves. It tells that it is alive from now on, four times in each period of the watchdog. */
  ready(status: string): void
  /** Tells the status from now on, whenever it is another, or what was told got lost. @param state in words */
  follow(state: () => Promise<string>): void
  /** To be followed by `ready`. */
  reloading(): void
  /** @param graceMs how long it may take, in milliseconds: systemd waits for so long */
  stopping(graceMs: number): void
  /** Tells nothing more. What was told before is on its way. */
  close(): void
}

/** How long one message may take, in milliseconds. */
const SEND_MS = 10_000
/** Signs of life in each period of the watchdog, and on their way at once: a process may take its time to start. */
const SIGNS = 4
const NOTHING: ServiceManager = Object.freeze({
  ready() {},
  follow() {},
  reloading() {},
  stopping() {},
  close() {},
})

/** Does nothing when the process was not started by a service manager that waits for messages. */
export function openServiceManager(options: ServiceManagerOptions): ServiceManager {
  const { env, log, pid = process.pid, followMs = 5_000 } = options
  if (!env.NOTIFY_SOCKET) return NOTHING
  const periodMs = watchdogMs(env, pid)
  const messages: string[][] = []
  let sending = false
  let begun = false
  let timer: NodeJS.Timeout | null = null
  let follower: NodeJS.Timeout | null = null
  /** What systemd shows; null when that is not known. */
  let told: string | null = null
  /** Between `ready` and the next reload or stop. */
  let serving = false

  const notify = createNotifier({
    ...{ env, log },
    // a message that got lost is told again with the next look at the status
    onLost() {
      told = null
    },
  })
  const sendNext = () => {
    const message = messages.shift()
    sending = message !== undefined
    if (message === undefined) return
    notify(message, SEND_MS, () => {
      begun = true
      sendNext()
    })
  }
  const send = (...message: string[]) => {
    messages.push(message)
    if (!sending) sendNext()
  }
  const alive = createSigns(notify)
  const tell = (status: string) => {
    told = status
    send('READY=1', `STATUS=${status}`)
  }
  const look = async (state: () => Promise<string>) => {
    const status = oneLine(await state())
    if (serving && !sending && status !== told) tell(status)
  }
  const unfollow = () => {
    serving = false
    if (follower !== null) clearInterval(follower)
  }
  return {
    ready(status) {
      serving = true
      tell(oneLine(status))
      if (periodMs !== null) timer ??= setInterval(() => begun && alive(periodMs), periodMs / SIGNS)
    },
    follow(state) {
      follower ??= setInterval(() => {
        look(state).catch((err: unknown) => log.warn({ err }, 'the state could not be told'))
      }, followMs)
    },
    reloading() {
      serving = false
      // the clock of systemd, which is that of hrtime on Linux
      send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`)
    },
    stopping(graceMs) {
      unfollow()
      send('STOPPING=1', `EXTEND_TIMEOUT_USEC=${Math.ceil(graceMs) * 1000}`)
    },
    close() {
      unfollow()
      if (timer !== null) clearInterval(timer)
    },
  }
}

/** Sends one message, by a process of its own. */
type Notify = (message: readonly string[], withinMs: number, then: () => void) => void

function createNotifier({
  env,
  log,
  onLost,
}: Pick<ServiceManagerOptions, 'env' | 'log'> & { readonly onLost: () => void }): Notify {
  let failed = false
  return (message, withinMs, then) => {
    const sent = (error: unknown) => {
      if (error !== null && !failed)
        log.warn({ err: error }, 'systemd was not told the state: systemd-notify failed')
      failed = error !== null
      if (failed) onLost()
      then()
    }
    try {
      execFile('systemd-notify', message, { env: { ...env }, timeout: withinMs }, sent)
    } catch (error) {
      // a process that cannot be made for want of memory, among others, is told at once
      setImmediate(sent, error)
    }
  }
}

/** A loop that hangs sends nothing; a sign of life waits for no other message, of which each may be slow. */
function createSigns(notify: Notify): (periodMs: number) => void {
  let onTheirWay = 0
  return (periodMs) => {
    if (onTheirWay === SIGNS) return
    onTheirWay += 1
    notify(['WATCHDOG=1'], periodMs, () => {
      onTheirWay -= 1
    })
  }
}

/** The period of the watchdog in milliseconds; null when there is none, or it is for another process. */
function watchdogMs(env: ServiceManagerOptions['env'], pid: number): number | null {
  const micros = Number(env.WATCHDOG_USEC)
  const isOurs = env.WATCHDOG_PID === undefined || env.WATCHDOG_PID === String(pid)
  return isOurs && Number.isFinite(micros) && micros > 0 ? micros / 1000 : null
}

/** A line end would begin another message. */
function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ')
}
