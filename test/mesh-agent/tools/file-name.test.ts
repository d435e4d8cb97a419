import assert from 'node:assert/strict'
import fc from 'fast-check'
import { nameForType, safeFileName } from '../../../mesh-agent/src/tools/workspace/file-name.ts'
import { anyText } from '../../support/any-text.ts'

describe('file names for what a peer named', () => {
  it('keep what is harmless', () => {
    assert.equal(safeFileName(1, 'report.pdf'), '1-report.pdf')
    assert.equal(safeFileName(2, 'übersicht 2026.csv'), '2-übersicht_2026.csv')
    assert.equal(safeFileName(3, '研究報告.md'), '3-研究報告.md')
  })

  it('lead nowhere else and mean nothing', () => {
    for (const [given, safe] of [
      ['../../.ssh/authorized_keys', '1-authorized_keys'],
      ['..\\..\\evil.exe', '1-evil.exe'],
      ['/etc/passwd', '1-passwd'],
      ['..', '1-file'],
      ['.', '1-file'],
      ['', '1-file'],
      ['AGENTS.md', '1-AGENTS.md'],
      ['.bashrc', '1-bashrc'],
      ['-rf', '1-rf'],
      ['a\nb\u0000c\u202e.txt', '1-a_b_c_.txt'],
      ['x'.repeat(10_000), `1-${'x'.repeat(48)}`],
      [`${'x'.repeat(500)}.tar`, `1-${'x'.repeat(48)}.tar`],
    ] as const)
      assert.equal(safeFileName(1, given), safe)
  })

  it('are one part of a path that any file system takes, whatever the peer wrote', () => {
    fc.assert(
      fc.property(anyText({ maxLength: 400 }), (given) => {
        const name = safeFileName(7, given)
        assert.match(name, /^7-[\p{L}\p{M}\p{N}._-]+$/u)
        assert.ok(Buffer.byteLength(name) <= 255)
      }),
    )
  })

  it('are made for what has none', () => {
    assert.equal(nameForType('output-1', 'image/png'), 'output-1.png')
    assert.equal(nameForType('output-1', 'text/html; charset=utf-8'), 'output-1.html')
    assert.equal(nameForType('output-1', '../../x'), 'output-1.bin')
  })
})
