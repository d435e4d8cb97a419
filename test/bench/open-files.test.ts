import assert from 'node:assert/strict'
import { mostOpenFiles, parseOpenFiles } from '../../bench/measure/open-files.ts'

describe('descriptors of a process', () => {
  it('are as many as the hard limit says', () => {
    const head = 'Limit                     Soft Limit           Hard Limit           Units\n'
    const row = (hard: string) =>
      `Max open files            1024                 ${hard}              files\n`
    assert.equal(parseOpenFiles(head + row('20000')), 20_000)
    assert.equal(parseOpenFiles(head + row('unlimited')), Number.POSITIVE_INFINITY)
    assert.equal(parseOpenFiles(''), Number.POSITIVE_INFINITY)
    assert.ok(mostOpenFiles() > 100)
  })
})
