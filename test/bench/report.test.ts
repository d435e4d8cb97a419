import assert from 'node:assert/strict'
import { GATEWAY, GRPC_JS, NGINX } from '../../bench/contestants/contestant.ts'
import { formatMarkdown } from '../../bench/report/markdown.ts'
import { rowsOf } from '../../bench/report/rows.ts'
import { formatTerminal } from '../../bench/report/terminal.ts'
import type { Metric, SuiteResult } from '../../bench/suites/suite.ts'

const metric: Metric = {
  name: 'CPU per call',
  unit: 'µs',
  figures: { [GATEWAY]: [100, 110, 120], [GRPC_JS]: [250, 260, 240], [NGINX]: [40, 50, 45] },
  targets: [
    { against: GRPC_JS, atMost: 0.5 },
    { against: NGINX, atMost: 2.2 },
  ],
  limit: 128,
}
const result: SuiteResult = {
  title: 'Calls',
  how: 'By hand.',
  metrics: [metric],
  remarks: ['squid left out: squid is not installed'],
}

describe('report of the bench', () => {
  it('shows medians, quartiles, ratios within rounds, and which targets are met', () => {
    assert.deepEqual(
      rowsOf(metric, true).map((row) => Object.values(row)),
      [
        ['CPU per call', GATEWAY, '110 µs', '105 – 115', '', '≤ 128: met'],
        ['', GRPC_JS, '250 µs', '245 – 255', '0.42 (0.41 – 0.46)', '≤ 0.5: met'],
        ['', NGINX, '45.0 µs', '42.5 – 47.5', '2.50 (2.35 – 2.58)', '≤ 2.2: missed'],
      ],
    )
  })

  it('shows no quartiles of a ratio that has fewer than three rounds', () => {
    const figures = { [GATEWAY]: [100, 110], [NGINX]: [50, 50] }
    assert.equal(rowsOf({ ...metric, figures }, true)[1]?.ratio, '2.10')
  })

  it('shows no ratio where one means nothing', () => {
    const rows = rowsOf({ ...metric, compared: false, targets: [] }, true)
    assert.deepEqual(
      rows.map(({ ratio }) => ratio),
      ['', '', ''],
    )
  })

  it('judges nothing in a quick run', () => {
    assert.ok(rowsOf(metric, false).every(({ target }) => target === ''))
  })

  it('says what was not measured instead of inventing it', () => {
    const figures = { [GATEWAY]: [Number.NaN], [GRPC_JS]: [Number.NaN] }
    const [ours, theirs] = rowsOf({ ...metric, figures }, true)
    assert.equal(ours?.median, '– µs')
    assert.equal(theirs?.target, '≤ 0.5: not measured')
  })

  it('lines up on a terminal, with the remarks', () => {
    const text = formatTerminal(result, true)
    assert.match(text, /^Calls\n/)
    assert.match(text, /squid left out/)
    const rows = text.split('\n').filter((line) => line.includes(' µs'))
    assert.equal(new Set(rows.map((line) => line.indexOf(' µs'))).size, 1)
  })

  it('keeps the command, the machine and the versions with the figures', () => {
    const text = formatMarkdown({
      date: new Date('2026-11-22T12:00:00Z'),
      machine: { cores: 2, cpu: 'CPU', memoryGib: 8, kernel: '6.1', node: 'v24.21.0' },
      command: 'npm run bench -- --rounds 3 --write',
      rounds: 3,
      versions: ['nginx/1.22'],
      results: [result],
    })
    for (const part of ['--rounds 3 --write', '2026-11-22', '2 cores, CPU', 'v24.21.0, nginx/1.22'])
      assert.ok(text.includes(part), part)
    assert.match(text, /\| CPU per call \| mesh-gateway \| 110 µs \|/)
  })
})
