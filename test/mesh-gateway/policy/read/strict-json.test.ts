/** JSON that is read strictly: every value at its place, every fault with its place, and no more work than the limits say. */
import assert from 'node:assert/strict'
import {
  type JsonLimits,
  pointerTo,
  positionAt,
  readStrictJson,
} from '../../../../mesh-gateway/src/policy/read/strict-json.ts'

const read = (text: string, limits?: JsonLimits) => readStrictJson(Buffer.from(text), limits)

/** As `pointer@offset: message`. */
const faultsOf = (text: string | Uint8Array, limits?: JsonLimits) =>
  readStrictJson(typeof text === 'string' ? Buffer.from(text) : text, limits).faults.map(
    ({ pointer, offset, message }) => `${pointer}@${offset}: ${message}`,
  )

describe('strict JSON', () => {
  const values: [text: string, value: unknown][] = [
    ['0', 0],
    ['-0.5', -0.5],
    ['10', 10],
    ['1.25e2', 125],
    ['1E+2', 100],
    ['1e-2', 0.01],
    ['true', true],
    ['false', false],
    [' null ', null],
    ['""', ''],
    ['[]', []],
    ['{}', {}],
    ['[ ]', []],
    ['{ }', {}],
    ['[1,[2],{"a":3}]', [1, [2], { a: 3 }]],
    ['{"a":{"b":[true,false,null]},"c":""}', { a: { b: [true, false, null] }, c: '' }],
    ['\t\r\n {"a"\t:\r1\n,"b" : 2 } \n', { a: 1, b: 2 }],
    [String.raw`"\"\\\/\b\f\n\r\t"`, '"\\/\b\f\n\r\t'],
    [String.raw`"a\u0041b\u00e9c"`, 'aAbéc'],
    [String.raw`"\ud83d\ude00x"`, '😀x'],
    ['"😀 é"', '😀 é'],
    ['"//, /* and # within a string"', '//, /* and # within a string'],
  ]
  for (const [text, value] of values)
    it(`reads ${JSON.stringify(text)}`, () => {
      const document = read(text)
      assert.deepEqual(document.faults, [])
      assert.deepEqual(document.value, value)
      assert.equal(document.text, text)
    })

  const faults: [text: string, fault: string][] = [
    ['', '@0: is empty'],
    [' \n', '@0: is empty'],
    ['{} {}', '@3: more text after the end of the JSON value'],
    ['1 x', '@2: more text after the end of the JSON value'],
    ["'a'", '@0: strings stand in double quotes'],
    ['{"a": \'b\'}', '/a@6: strings stand in double quotes'],
    ['tru', '@0: expected a value, found "t"'],
    ['truer', '@0: expected a value, found "t"'],
    ['[', '/0@1: expected a value, found the end'],
    ['[1', '@2: expected a comma or ], found the end'],
    ['[1 2]', '@3: expected a comma or ], found "2"'],
    ['[01]', '@2: expected a comma or ], found "1"'],
    ['[1.]', '@2: expected a comma or ], found "."'],
    ['[+1]', '/0@1: expected a value, found "+"'],
    ['[-]', '/0@1: expected a value, found "-"'],
    ['[1,]', '@3: a comma before the closing ]'],
    ['[,1]', '/0@1: expected a value, found ","'],
    ['{', '@1: expected a key in double quotes, found the end'],
    ['{1:2}', '@1: expected a key in double quotes, found "1"'],
    ['{"a"}', '/a@4: expected a colon, found "}"'],
    ['{"a":}', '/a@5: expected a value, found "}"'],
    ['{"a":1', '@6: expected a comma or }, found the end'],
    ['{"a":1 "b":2}', '@7: expected a comma or }, found "\\""'],
    ['{"a":1,}', '@7: a comma before the closing }'],
    ['{,}', '@1: expected a key in double quotes, found ","'],
    ['"a', '@2: the text ends within a string'],
    ['"a\tb"', '@2: a control character within a string'],
    ['"a\u007fb"', '@2: a control character within a string'],
    [String.raw`"\x41"`, '@1: an escape that JSON does not have'],
    [String.raw`"\u12"`, '@1: an escape that JSON does not have'],
    [String.raw`"\u12g4"`, '@1: an escape that JSON does not have'],
    [String.raw`"\uD800"`, '@8: half of a surrogate pair'],
    ['"\\', '@1: an escape that JSON does not have'],
    ['{"a":1, // x\n"b":2}', '@8: a comment; JSON has none'],
    ['{"a": /* x */ 1}', '/a@6: a comment; JSON has none'],
    ['[1 # x\n]', '@3: a comment; JSON has none'],
    ['1 / 2', '@2: more text after the end of the JSON value'],
  ]
  for (const [text, fault] of faults)
    it(`refuses ${JSON.stringify(text)}: ${fault}`, () => {
      assert.deepEqual(faultsOf(text), [fault])
      assert.equal(read(text).value, undefined)
      // how far it was read is shown by the text, which is kept
      assert.equal(read(text).text, text)
    })

  it('refuses bytes that are not its encoding, and keeps no text of them', () => {
    const begins = '@0: begins with a byte order mark; save it as UTF-8 without BOM'
    const encodings: [bytes: number[], fault: string][] = [
      [[0xef, 0xbb, 0xbf, 0x7b, 0x7d], begins],
      [[0xff, 0xfe, 0x7b, 0x00], '@0: is UTF-16; save it as UTF-8'],
      [[0xfe, 0xff, 0x00, 0x7b], '@0: is UTF-16; save it as UTF-8'],
      [[0x22, 0xff, 0x22], '@0: is not UTF-8'],
      // bytes that begin a mark and do not end it
      [[0xef, 0xbb, 0x22], '@0: is not UTF-8'],
      [[0xef, 0xbc, 0xbf], '@0: expected a value, found "\uff3f"'],
      [[0xff, 0xff], '@0: is not UTF-8'],
      [[0xfe, 0xfe], '@0: is not UTF-8'],
      [[0x22, 0xbb, 0xbf], '@0: is not UTF-8'],
    ]
    for (const [bytes, fault] of encodings) {
      assert.deepEqual(faultsOf(Uint8Array.from(bytes)), [fault])
    }
    assert.equal(readStrictJson(Uint8Array.from([0xff, 0xfe])).text, '')
    // U+FEFF later on is a character as any other
    assert.equal(read('"a\uFEFFb"').value, 'a\uFEFFb')
    assert.equal(readStrictJson(Uint8Array.from([0xef, 0xbb, 0xbe])).faults.length, 1)
  })

  it('reads as deep as sixteen levels, and no deeper', () => {
    const lists = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
    const objects = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`
    assert.deepEqual(faultsOf(lists(17)), [])
    assert.deepEqual(faultsOf(lists(18)), [`${'/0'.repeat(17)}@17: nested deeper than 16 levels`])
    assert.deepEqual(faultsOf(objects(16)), [])
    assert.deepEqual(faultsOf(objects(17)), [`${'/a'.repeat(17)}@85: nested deeper than 16 levels`])
  })

  it('knows the place of each value, and of a member that of its key', () => {
    const text = '{ "a": [1, { "b/c~": 2 }],\n  "d": "x" }'
    const { offsets, value } = read(text)
    assert.deepEqual(value, { a: [1, { 'b/c~': 2 }], d: 'x' })
    assert.deepEqual(
      [...offsets],
      [
        ['', 0],
        ['/a', text.indexOf('"a"')],
        ['/a/0', text.indexOf('1')],
        ['/a/1', text.indexOf('{', 1)],
        ['/a/1/b~1c~0', text.indexOf('"b/c~"')],
        ['/d', text.indexOf('"d"')],
      ],
    )
    assert.deepEqual(
      ['', '"d"', '"x"', '1'].map((part) => positionAt(text, text.indexOf(part))),
      [
        { line: 1, column: 1 },
        { line: 2, column: 3 },
        { line: 2, column: 8 },
        { line: 1, column: 9 },
      ],
    )
    assert.deepEqual(positionAt(text, text.indexOf('\n')), { line: 1, column: 27 })
    assert.deepEqual(positionAt(text, text.indexOf('\n') + 1), { line: 2, column: 1 })
    assert.equal(pointerTo('/a', 7), '/a/7')
  })

  it('tells a key that is there twice by its second place, and goes on', () => {
    const text = '{"a":1,"b":{"a":2},"a":3,"__proto__":{"c":4}}'
    const document = read(text)
    assert.deepEqual(faultsOf(text), [
      `/a@${text.lastIndexOf('"a"')}: the key is there twice`,
      `/__proto__@${text.indexOf('"__proto__"')}: is not a key for anything`,
    ])
    // the first place stays: what is said of the value is shown there
    assert.equal(document.offsets.get('/a'), 1)
    assert.equal(document.offsets.has('/__proto__'), true)
    assert.deepEqual(Object.keys(document.value ?? {}), ['a', 'b'])
    // what follows is judged as well, and what was found before is not lost
    assert.deepEqual(faultsOf('{"a":1,"a":2,}').length, 2)
  })

  it('gives up at its limits, and not before', () => {
    const items = '[1,2,3]'
    assert.deepEqual(faultsOf(items, { maxItems: 3 }), [])
    assert.deepEqual(faultsOf(items, { maxItems: 2 }), ['@5: must have 2 entries or fewer'])
    const keys = '{"a":1,"b":2,"c":3}'
    assert.deepEqual(faultsOf(keys, { maxKeys: 3 }), [])
    assert.deepEqual(faultsOf(keys, { maxKeys: 2 }), ['@16: must have 2 keys or fewer'])
    const twice = '{"a":1,"a":2,"a":3,"a":4}'
    assert.equal(faultsOf(twice).length, 3)
    assert.equal(faultsOf(twice, { maxFaults: 4 }).length, 3)
    assert.deepEqual(faultsOf(twice, { maxFaults: 2 }), [
      '/a@7: the key is there twice',
      '/a@13: the key is there twice',
      '@16: too many faults to go on',
    ])
  })
})
