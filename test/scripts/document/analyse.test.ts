import assert from 'node:assert/strict'
import { analyse, MAX_DOCUMENT_BYTES, NotText } from '../../../scripts/dev/document/analyse.ts'
import { MAX_HEADINGS, MAX_LINKS } from '../../../scripts/dev/document/outline.ts'

const HTML = 'text/html; charset=utf-8'
const url = 'http://docs.acme.mesh.internal:7480/guide/page'

function analyseText(text: string, contentType = HTML, at = url) {
  return analyse({ url: at, contentType, bytes: Buffer.from(text) })
}

describe('the analysis of an HTML document', () => {
  it('finds title, headings, words, terms and absolute links', () => {
    const found = analyseText(`<!doctype html><html><head><title>Mesh &amp; more</title>
      <style>p { color: red }</style><script>var hidden = '<h1>no</h1>'</script></head>
      <body><h1>The <em>Mesh</em></h1><p>Agents delegate. Agents fetch; agents rest.</p>
      <h2>Links</h2><a href="../other#top">An <b>other</b></a> <a href='https://example.com/a?b=1&amp;c=2'>ex</a>
      <a href="javascript:alert(1)">no</a> <a href="mailto:a@b.c">no</a></body></html>`)
    assert.equal(found.kind, 'html')
    assert.equal(found.title, 'Mesh & more')
    assert.deepEqual(found.headings, [
      { level: 1, text: 'The Mesh' },
      { level: 2, text: 'Links' },
    ])
    assert.deepEqual(found.terms[0], { term: 'agents', count: 3 })
    assert.deepEqual(found.links, [
      { text: 'An other', url: 'http://docs.acme.mesh.internal:7480/other#top' },
      { text: 'ex', url: 'https://example.com/a?b=1&c=2' },
    ])
    assert.equal(found.words, 14)
  })

  it('does not part a word at an inline tag, and does at a block', () => {
    assert.equal(analyseText('<p>un<b>seen</b></p>').words, 1)
    assert.equal(analyseText('<p>one</p><p>two</p>three<br>four').words, 4)
  })

  it('takes the first h1 for a title where there is none, and says null where there is neither', () => {
    assert.equal(analyseText('<h2>a</h2><h1>b</h1>').title, 'b')
    assert.equal(analyseText('<p>nothing here').title, null)
    assert.equal(analyseText('<title>  </title>').title, null)
  })

  it('is not misled by unclosed tags, comments, quotes and raw text', () => {
    assert.deepEqual(analyseText('<h1>open <p>and on').headings, [])
    assert.equal(analyseText('words <!-- no end <h1>x</h1>').words, 1)
    assert.equal(analyseText('words <script>no end').words, 1)
    assert.equal(analyseText('a < b <3 c').words, 4)
    assert.equal(analyseText('<a href="x>y').links.length, 0)
    assert.equal(analyseText("<p don't>two words</p>").words, 2)
  })
})

describe('the analysis of a Markdown document', () => {
  it('finds headings of both kinds and links of every kind, and none in fenced code', () => {
    const found = analyseText(
      `# Clawmesh \`mesh\`

Read [the **guide**](docs/guide.md "title") or <https://example.com/x> or https://example.org/y.

Second
------

\`\`\`sh
# not a heading
\`\`\`

### Third ###

[ref]: https://example.net/z
`,
      'text/markdown',
    )
    assert.equal(found.kind, 'markdown')
    assert.equal(found.title, 'Clawmesh mesh')
    assert.deepEqual(found.headings, [
      { level: 1, text: 'Clawmesh mesh' },
      { level: 2, text: 'Second' },
      { level: 3, text: 'Third' },
    ])
    assert.deepEqual(
      found.links.map((link) => link.url),
      [
        'http://docs.acme.mesh.internal:7480/guide/docs/guide.md',
        'https://example.com/x',
        'https://example.org/y',
        'https://example.net/z',
      ],
    )
    assert.equal(found.links[0]?.text, 'the guide')
  })

  it('is chosen by the name of the file where the server says nothing better', () => {
    assert.equal(analyseText('# x', 'text/plain', 'http://h/README.md').kind, 'markdown')
    assert.equal(analyseText('# x', 'text/plain', 'http://h/README').kind, 'text')
    assert.equal(analyseText('<!DOCTYPE html><p>x', '', 'http://h/').kind, 'html')
  })
})

describe('the analysis of a hostile document', () => {
  it('refuses what is not text, and says why', () => {
    const refuse = (bytes: Uint8Array, contentType = 'text/plain') =>
      assert.throws(() => analyse({ url, contentType, bytes }), NotText)
    refuse(Buffer.alloc(0))
    refuse(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0, 13]))
    refuse(Buffer.alloc(5000, 0xff))
    refuse(Buffer.from('not really'), 'image/png')
  })

  it('reads other charsets, and takes UTF-8 where the charset is nonsense', () => {
    const bytes = Buffer.from('caf\xe9', 'latin1')
    assert.equal(analyse({ url, contentType: 'text/plain; charset=iso-8859-1', bytes }).words, 1)
    assert.equal(analyseText('café au lait', 'text/plain; charset=klingon').words, 3)
    const utf16 = Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('two words', 'utf16le')])
    assert.equal(analyse({ url, contentType: 'text/plain', bytes: utf16 }).words, 2)
  })

  it('lets no heading paint the terminal or turn the direction of writing', () => {
    const found = analyseText('<h1>a\x1b[2Jb\u202Ec\u0007</h1>\n<title>\x1b]0;owned\x07</title>')
    assert.deepEqual(found.headings, [{ level: 1, text: 'a[2Jbc' }])
    assert.equal(found.title, ']0;owned')
  })

  it('reads no more than two mebibytes, and says that there was more', () => {
    const found = analyseText('word '.repeat(600_000), 'text/plain')
    assert.equal(found.truncated, true)
    assert.equal(found.bytes, MAX_DOCUMENT_BYTES)
  })

  it('keeps lists and lines short, however many and long they are', () => {
    const many = '<h2>x</h2><a href="/1">l</a>'
    const found = analyseText(
      `${Array.from({ length: 5000 }, (_, i) => many.replace('/1', `/${i}`)).join('')}<h1>${'y'.repeat(100_000)}</h1>`,
    )
    assert.equal(found.headings.length, MAX_HEADINGS)
    assert.equal(found.links.length, MAX_LINKS)
    const long = analyseText(
      `<h1>${'y '.repeat(100_000)}</h1><title>${'z'.repeat(100_000)}</title>`,
    )
    assert.ok((long.headings[0]?.text.length ?? 999) <= 200)
    assert.ok((long.title?.length ?? 999) <= 200)
  })

  const pieces: Record<string, string> = {
    'deep nesting': '<div>',
    'deep nesting, and closing tags that fit nothing': '<b></p>',
    'quotes in quotes': '> ',
    'open comments': '<!--',
    'open tags with open quotes': '<a href="',
    'tags with apostrophes': "<p '",
    'open headings': '<h1>',
    'raw text that never ends': '<script><',
    'open anchors': '<a href=/x>',
    'lonely angle brackets': '<',
    'open links of Markdown': '[x](a',
    brackets: '[',
    'many ampersands': '&#',
    'words with hyphens': 'a-',
    'spaces in an attribute': '<a                ',
    headings: '# a #\n',
    'closing hashes': '# ##',
  }
  for (const [what, piece] of Object.entries(pieces))
    it(`takes time linear in its length: ${what}`, () => {
      const text = piece.repeat(MAX_DOCUMENT_BYTES / 4 / piece.length)
      for (const type of ['text/html', 'text/markdown']) {
        const began = performance.now()
        analyseText(text, type)
        const tookMs = performance.now() - began
        // what grows with the square of the length takes minutes
        assert.ok(tookMs < 60_000, `${type}: ${Math.round(tookMs)} ms`)
      }
    }).timeout(240_000)
})
