import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { Writable } from 'node:stream'
import { COLUMNS, createScreen, pasteable, shellWord, wrap } from '../../scripts/dev/screen.ts'

function printed(isTTY: boolean, env: Record<string, string>): string {
  let text = ''
  const stream = Object.assign(
    new Writable({
      write(chunk, _, done) {
        text += String(chunk)
        done()
      },
    }),
    { isTTY },
  )
  const screen = createScreen(stream, env)
  screen.heading('heading')
  screen.line(screen.bad('bad'))
  return text
}

describe('the screen of a development mesh', () => {
  it('has colours on a terminal only, and not where NO_COLOR is set', () => {
    assert.ok(printed(true, {}).includes('\x1b['))
    assert.equal(printed(false, {}), 'heading\nbad\n')
    assert.equal(printed(true, { NO_COLOR: '1' }), 'heading\nbad\n')
    assert.equal(printed(true, { TERM: 'dumb' }), 'heading\nbad\n')
  })

  it('breaks text after words and commas, and leaves a long word whole', () => {
    assert.deepEqual(wrap('one two three', 7), ['one two', 'three'])
    assert.deepEqual(wrap('{"a":1,"b":2}', 8), ['{"a":1,', '"b":2}'])
    assert.deepEqual(wrap('x toolongforit y', 6), ['x', 'toolongforit', 'y'])
    assert.deepEqual(wrap('', 6), [])
  })

  it('breaks commands so that the shell reads them as one', () => {
    const words = ['printf %s,', ...Array.from({ length: 30 }, (_, index) => `word-${index}`)]
    const lines = pasteable(words)
    assert.ok(lines.length > 1)
    assert.ok(lines.every((line) => line.length <= COLUMNS))
    const output = execFileSync('bash', ['-c', lines.join('\n')], { encoding: 'utf8' })
    assert.equal(output.split(',').length, 31)
  })

  it('quotes what the shell would read otherwise', () => {
    for (const word of ["it's", '$HOME', 'a b', 'http://h/?a=1&b=2', '`x`', ''])
      assert.equal(
        execFileSync('bash', ['-c', `printf %s ${shellWord(word)}`], { encoding: 'utf8' }),
        word,
      )
    assert.equal(shellWord('http://h/x'), 'http://h/x')
  })
})
