/**
 * The idle timeout of an exchange or a tunnel. The wait for an answer has a timeout of its own: a model may think for
 * longer than an idle connection may stay open.
 */
export interface SilenceLimits {
  /** The idle timeout, in milliseconds. */
  readonly idleMs: number
  /** The timeout while an answer is awaited, in milliseconds. */
  readonly answerMs: number
}

export class SilenceTimer {
  readonly #limits: SilenceLimits
  readonly #awaitsAnswer: () => boolean
  readonly #onSilent: () => void
  readonly #shorterMs: number
  #timer: NodeJS.Timeout
  /** The running timeout, from the last activity on. */
  #measuredMs: number

  /** @param awaitsAnswer called when the shorter timeout has passed, not for each byte */
  constructor(limits: SilenceLimits, awaitsAnswer: () => boolean, onSilent: () => void) {
    this.#limits = limits
    this.#awaitsAnswer = awaitsAnswer
    this.#onSilent = onSilent
    this.#shorterMs = Math.min(limits.idleMs, limits.answerMs)
    this.#measuredMs = this.#shorterMs
    this.#timer = setTimeout(() => this.#onTimer(), this.#shorterMs)
  }

  /** Called on each activity. */
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
