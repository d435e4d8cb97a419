/** One way to attack a gateway at random. A seed repeats what a round does, but not what the machine does beside it. */
export interface Campaign {
  /** As `--only` and regression-seeds.json name it. */
  readonly name: string
  /**
   * One round: starts a gateway, attacks it, and ends it. The seed decides all of the attack.
   * @param deadlineMs milliseconds since the epoch; no new step begins after it
   * @throws when a promise breaks
   */
  run(seed: number, deadlineMs: number, report: Report): Promise<void>
}

export interface Report {
  /** Of all values of a name, the largest is printed. */
  largest(name: string, value: number, unit: string): void
  /** Steps of an attack that were done. */
  steps(count: number): void
}
