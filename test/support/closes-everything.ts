/** A suite that fails when it leaves sockets, servers or processes open. */

const WATCHED: ReadonlySet<string> = new Set([
  'TCPSocketWrap',
  'TCPServerWrap',
  'TLSWrap',
  'UDPWrap',
  'PipeWrap',
  'ProcessWrap',
  'FSEventWrap',
])
/** How long what was closed may take to be gone, in milliseconds. */
const SETTLE_MS = 3_000

/** As `describe`; when the suite's own hooks have run, everything that it opened has to be closed. */
export function describeClosing(title: string, suite: (this: Mocha.Suite) => void): Mocha.Suite {
  return describe(title, function (this: Mocha.Suite) {
    let atFirst: ReadonlyMap<string, number>
    before('what is open', () => {
      atFirst = openResources()
    })
    suite.call(this)
    // hooks run in the order in which they are made: this one comes last
    after('everything is closed', async () => {
      const left = await leftOpen(atFirst, SETTLE_MS)
      if (left.length > 0) throw new Error(`left open: ${left.join(', ')}`)
    })
  })
}

/** What is open of each kind. */
export function openResources(watched: ReadonlySet<string> = WATCHED): Map<string, number> {
  const counts = new Map<string, number>()
  for (const kind of process.getActiveResourcesInfo())
    if (watched.has(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

/** What is open now and was not before, once `withinMs` milliseconds were not enough to close it. */
export async function leftOpen(
  before: ReadonlyMap<string, number>,
  withinMs: number,
  watched: ReadonlySet<string> = WATCHED,
): Promise<string[]> {
  const until = Date.now() + withinMs
  for (;;) {
    const left = [...openResources(watched)]
      .filter(([kind, count]) => count > (before.get(kind) ?? 0))
      .map(([kind, count]) => `${count - (before.get(kind) ?? 0)} ${kind}`)
    if (left.length === 0 || Date.now() >= until) return left
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
