/** Holds the whole process, so that all that a peer sends, and its end, waits in the kernel. */
import { existsSync } from 'node:fs'

/** @param marker a file; 300 ms after it is there the other side is dead */
export function readNothingUntil(marker: string): void {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  for (let looks = 0; !existsSync(marker); looks += 1) {
    if (looks > 5_000) throw new Error('the server does not end')
    Atomics.wait(pause, 0, 0, 10)
  }
  Atomics.wait(pause, 0, 0, 300)
}
