/**
 * Measures silence on an exchange or a tunnel. Silence while an answer is waited for has a limit of its own: a model may think for
 * longer than an idle connection may stay.
 */
export interface SilenceLimits {
  /** Silence that ends it, in milliseconds. */
  readonly idleMs: number
  /** The same while an answer is waited for. */
  readonly answerMs: number
}

export class SilenceTimer {
  readonly #limits: SilenceLimits
  readonly #awaitsAnswer: () => boolean
  readonly #onSilent: () => void
  readonly #shorterMs: number
  #timer: NodeJS.Timeout
  /** What the timer measures from the last sign of life on. */
  #measuredMs: number

  /** @param awaitsAnswer asked when the shorter time is over, not for each byte */
  constructor(limits: SilenceLimits, awaitsAnswer: () => boolean, onSilent: () => void) {
    this.#limits = limits
    this.#awaitsAnswer = awaitsAnswer
    this.#onSilent = onSilent
    this.#shorterMs = Math.min(limits.idleMs, limits.answerMs)
    this.#measuredMs = this.#shorterMs
    this.#timer = setTimeout(() => this.#onTimer(), this.#shorterMs)
  }

  /** Something has moved. */
  refresh(): void {
    if (this.#measuredMs === this.#shorterMs) this.#timer.refresh()
    else this.#wait(this.#shorterMs, this.#shorterMs)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }

  #onTimer(): void {
    const limitMs = this.#awaitsAnswer() ? this.#limits.answerMs : this.#limits.idleMs
    if (limitMs > this.#measuredMs) this.#wait(limitMs - this.#measuredMs, limitMs)
    else this.#onSilent()
  }

  #wait(ms: number, measuredMs: number): void {
    clearTimeout(this.#timer)
    this.#measuredMs = measuredMs
    this.#timer = setTimeout(() => this.#onTimer(), ms)
  }
}
