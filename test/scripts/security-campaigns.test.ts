import assert from 'node:assert/strict'
import type { Campaign } from '../../scripts/security/campaign.ts'
import { createRandom } from '../../scripts/security/random.ts'
import { type RegressionSeed, runCampaigns } from '../../scripts/security/run-campaigns.ts'

describe('attacks at random', () => {
  let lines: string[]
  let kept: RegressionSeed[]
  beforeEach(() => {
    lines = []
    kept = []
  })

  function campaign(name: string, breaks: (seed: number) => boolean = () => false) {
    const seeds: number[] = []
    const made: Campaign = {
      name,
      async run(seed, _, report) {
        seeds.push(seed)
        report.largest('stop', seeds.length, 'ms')
        report.steps(10)
        if (breaks(seed)) throw new Error('it fell\nover')
      },
    }
    return { ...made, seeds }
  }
  const run = (
    campaigns: readonly Campaign[],
    more: Partial<Parameters<typeof runCampaigns>[0]> = {},
  ) =>
    runCampaigns({
      campaigns,
      regressions: [],
      forMs: 0,
      seed: null,
      print: (line) => lines.push(line),
      keep: async (failed) => void kept.push(failed),
      ...more,
    })

  it('have the seeds first that once broke a promise, and then fresh ones, all printed', async () => {
    const [one, two] = [campaign('one'), campaign('two')]
    const regressions = [
      { campaign: 'two', seed: 7, why: 'x' },
      { campaign: 'gone', seed: 9, why: 'y' },
    ]
    assert.deepEqual(await run([one, two], { regressions }), { passes: 3, failed: [] })
    assert.equal(two.seeds[0], 7)
    assert.equal(two.seeds.length, 2)
    assert.deepEqual(lines.slice(0, 3), [
      'two: seed 7',
      `one: seed ${one.seeds[0]}`,
      `two: seed ${two.seeds[1]}`,
    ])
    assert.deepEqual(lines.slice(3), ['stop: 2.0 ms', '3 rounds of 30 steps: 0 broken'])
    await run([one])
    assert.notEqual(one.seeds[0], one.seeds[1])
  })

  it('print the command that repeats what broke, keep its seed, and go on with the others', async () => {
    const [one, two] = [campaign('one', () => true), campaign('two')]
    const { passes, failed } = await run([one, two])
    const [seed] = one.seeds
    assert.equal(passes, 1)
    assert.deepEqual(failed, [`one, seed ${seed}: Error: it fell`])
    assert.ok(lines.includes(`again: npm run test:security -- --only 'one' --seed ${seed}`))
    assert.deepEqual(kept, [{ campaign: 'one', seed, why: 'Error: it fell' }])
  })

  it('with a seed are that round alone, which is not kept again', async () => {
    const one = campaign('one', (seed) => seed === 5)
    const regressions = [{ campaign: 'one', seed: 7, why: 'x' }]
    const { failed } = await run([one], { seed: 5, forMs: 60_000, regressions })
    assert.deepEqual(one.seeds, [5])
    assert.equal(failed.length, 1)
    assert.deepEqual(kept, [])
  })

  it('choose the same by the same seed, and something else by another', () => {
    const chosen = (seed: number) => createRandom(seed).bytes(32).toString('hex')
    assert.equal(chosen(1), chosen(1))
    assert.notEqual(chosen(1), chosen(2))
  })
})
