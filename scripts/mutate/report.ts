/** The words of a judgement: survivors with their place and the change, and what the room came to. */
import type { Judgement } from './judge-room.ts'
import type { Result } from './results.ts'

export function reportLines(
  name: string,
  { results, suppressed, all, stale }: Judgement,
): string[] {
  const unseen = results.filter(({ verdict }) => !verdict.startsWith('seen'))
  const byTime = results.filter(({ verdict }) => verdict === 'seen by the time limit').length
  const seen = results.length - unseen.length
  const share = results.length === 0 ? 100 : (100 * seen) / results.length
  return [
    ...unseen.flatMap(survivorLines),
    ...stale.map(({ file, before }) => `equivalents.json: fits no mutant of ${file}: ${before}`),
    `${name}: ${seen} of ${results.length} mutants seen, ${share.toFixed(1)} % (${byTime} by the time limit); ` +
      `${all} in the room, ${suppressed} suppressed`,
  ]
}

function survivorLines({ file, line, operator, before, after, verdict, by }: Result): string[] {
  return [`${file}:${line} ${operator}: ${verdict} (${by})`, `  - ${before}`, `  + ${after}`]
}
