/** Draws again and again on a terminal what a gateway does now; anywhere else it draws once. */
import { setTimeout as delay } from 'node:timers/promises'
import { InvalidArgumentError } from 'commander'
import type { Terminal } from '../process/terminal.ts'
import type { CommandOutput } from './explanation.ts'

export interface LiveOptions {
  /** Seconds between two drawings. */
  readonly every: number
  readonly once?: true
}

/**
 * @param draw the text of one screen. What it throws ends a single drawing; on a screen it is shown, and tried again
 */
export async function drawLive(
  draw: () => Promise<string>,
  { every, once }: LiveOptions,
  { screen = null }: Pick<Terminal, 'screen'>,
  output: Pick<CommandOutput, 'result'>,
): Promise<void> {
  if (once === true || screen === null) return output.result(await draw())
  for (;;) {
    screen(await draw().catch((error: Error) => error.message))
    await delay(every * 1000)
  }
}

export function parseSeconds(text: string): number {
  if (!/^\d{1,4}(?:\.\d)?$/.test(text) || Number(text) < 0.5)
    throw new InvalidArgumentError('write seconds, from 0.5 on')
  return Number(text)
}
