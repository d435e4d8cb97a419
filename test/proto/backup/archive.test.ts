import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { MeshError, Secret } from '@clawmesh/proto'
import { inMemory, readArchive, writeArchive } from '@clawmesh/proto/backup'
import { Decrypter, Encrypter } from 'age-encryption'
import { decrypt, encrypt } from '../../../proto/src/backup/age-stream.ts'
import { createByteReader } from '../../../proto/src/backup/byte-reader.ts'
import { readTarHeader, tarHeader } from '../../../proto/src/backup/tar.ts'
import {
  bytes,
  collect,
  encrypted,
  forged,
  forgedTar,
  headerEntry,
  PASSPHRASE,
  WORK_FACTOR,
} from './forge-archive.ts'

const FACTS = { kind: 'ca', version: '0.1.0', made: '2026-11-30T01:02:03.004Z' } as const
const CHUNK = 65_536

async function archiveOf(contents: Readonly<Record<string, Buffer>>): Promise<Buffer> {
  const sources = Object.entries(contents).map(([name, content]) => inMemory(name, content))
  return collect(
    writeArchive({ facts: FACTS, sources, passphrase: PASSPHRASE, workFactor: WORK_FACTOR }),
  )
}

async function read(archive: Uint8Array, passphrase = PASSPHRASE) {
  const contents: Record<string, Buffer> = {}
  const { facts, files } = await readArchive({
    input: bytes(archive),
    passphrase,
    async onFile({ name }, content) {
      contents[name] = await collect(content)
    },
  })
  return { facts, files, contents }
}

const codeOf = (error: unknown) => (error instanceof MeshError ? error.code : String(error))
const refused = (archive: Uint8Array) =>
  read(archive).then(
    () => 'accepted',
    (error: unknown) => `${codeOf(error)} ${error instanceof Error ? error.message : ''}`,
  )

describe('an archive of a backup', () => {
  it('gives back every byte of every file, and says what it is of', async () => {
    const contents = {
      'a.txt': Buffer.from('short'),
      empty: Buffer.alloc(0),
      'issued/block': randomBytes(512),
      'issued/large': randomBytes(3 * CHUNK + 17),
    }
    const archive = await archiveOf(contents)
    const found = await read(archive)
    assert.deepEqual(found.contents, contents)
    assert.deepEqual(found.facts, FACTS)
    assert.deepEqual(
      found.files.map(({ name, sizeBytes }) => [name, sizeBytes]),
      Object.entries(contents).map(([name, content]) => [name, content.length]),
    )
  })

  it('is an age file: the reference library opens it, and this program opens that of the library', async () => {
    const plain = randomBytes(2 * CHUNK + 100)
    const library = new Decrypter()
    library.addPassphrase(PASSPHRASE.reveal())
    assert.deepEqual(Buffer.from(await library.decrypt(await encrypted(plain))), plain)
    for (const size of [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK]) {
      const encrypter = new Encrypter()
      encrypter.setScryptWorkFactor(WORK_FACTOR)
      encrypter.setPassphrase(PASSPHRASE.reveal())
      const foreign = await encrypter.encrypt(plain.subarray(0, size))
      assert.deepEqual(await collect(decrypt(bytes(foreign), PASSPHRASE)), plain.subarray(0, size))
      const ours = await collect(encrypt(bytes(plain.subarray(0, size)), PASSPHRASE, WORK_FACTOR))
      assert.deepEqual(Buffer.from(await library.decrypt(ours)), plain.subarray(0, size))
    }
  })

  it('arrives in pieces of any size', async () => {
    const archive = await archiveOf({ file: randomBytes(1000) })
    const single = Array.from(archive, (byte) => Uint8Array.of(byte))
    const { files } = await readArchive({ input: bytes(...single), passphrase: PASSPHRASE })
    assert.equal(files.length, 1)
  })

  it('opens with its passphrase only', async () => {
    const archive = await archiveOf({ file: Buffer.from('x') })
    await assert.rejects(read(archive, new Secret('wrong horse battery')), {
      code: 'MESH_BACKUP_PASSPHRASE',
    })
  })

  it('is refused when it was cut, wherever', async () => {
    const archive = await archiveOf({ file: randomBytes(3 * CHUNK), other: randomBytes(100) })
    const cuts = new Set([0, 1, 20, 100, 200, 240])
    for (let at = 250; at < archive.length; at += 9_973) cuts.add(at)
    for (let chunk = 1; chunk < 4; chunk += 1) cuts.add(archive.length - chunk * (CHUNK + 16))
    cuts.add(archive.length - 1)
    for (const at of cuts)
      assert.match(await refused(archive.subarray(0, at)), /^MESH_BACKUP_INVALID/, `cut at ${at}`)
  })

  it('is refused when one bit of it is another, wherever', async () => {
    const archive = await archiveOf({ file: randomBytes(CHUNK + 500) })
    const places = new Set(Array.from({ length: 240 }, (_, at) => at))
    for (let at = 240; at < archive.length; at += 1_009) places.add(at)
    for (const at of places) {
      const altered = Buffer.from(archive)
      altered[at] = (altered[at] ?? 0) ^ 1
      assert.match(await refused(altered), /^MESH_BACKUP_(?:INVALID|PASSPHRASE)/, `bit in ${at}`)
    }
    assert.match(await refused(Buffer.concat([archive, Buffer.from('x')])), /^MESH_BACKUP_INVALID/)
  })

  it('is refused when a line of its header is another text for the same bytes', async () => {
    const archive = await archiveOf({ file: randomBytes(10) })
    const text = archive.toString('latin1')
    for (const line of [/ [\w+/]{22} (?=4\n)/, /\n[\w+/]{43}\n(?=---)/, /--- [\w+/]{43}\n/]) {
      const { 0: found = '', index = 0 } = line.exec(text) ?? {}
      const at = index + found.length - 2
      for (const letter of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=') {
        if (letter === text[at]) continue
        const altered = Buffer.from(archive)
        altered[at] = letter.charCodeAt(0)
        assert.match(
          await refused(altered),
          /^MESH_BACKUP_(?:INVALID|PASSPHRASE)/,
          `${at} ${letter}`,
        )
      }
    }
  })

  it('costs no more memory to open than 256 MiB, whatever its header asks for', async () => {
    const archive = await archiveOf({ file: Buffer.from('x') })
    const text = archive.toString('latin1').replace(/^(-> scrypt \S+) 4$/m, '$1 30')
    assert.match(await refused(Buffer.from(text, 'latin1')), /^MESH_BACKUP_INVALID/)
  })

  it('is refused when it is something else', async () => {
    for (const other of ['', 'hello', '\n'.repeat(500), 'age-encryption.org/v2\n'])
      assert.match(await refused(Buffer.from(other)), /^MESH_BACKUP_INVALID/)
    assert.match(await refused(await encrypted('no tar')), /^MESH_BACKUP_INVALID/)
  })

  it('is refused when another format wrote it, before anything of it is read', async () => {
    const files: string[] = []
    const later = await forged([{ name: 'x', content: 'y' }], { format: 2 })
    const reading = readArchive({
      input: bytes(later),
      passphrase: PASSPHRASE,
      onFile: async ({ name }) => void files.push(name),
    })
    await assert.rejects(reading, { code: 'MESH_BACKUP_INVALID', message: /its format is 2/ })
    assert.deepEqual(files, [])
  })
})

describe('a hostile archive, made by somebody with the passphrase', () => {
  const entry = { content: 'x' }
  const NAMES = [
    '../outside',
    'a/../../outside',
    '/etc/passwd',
    './here',
    'a//b',
    'a/',
    '',
    '..',
    'a\\..\\b',
    '-rf',
    'new\nline',
    'C:x',
  ]
  for (const name of NAMES)
    it(`is refused for the name ${JSON.stringify(name)}`, async () => {
      assert.match(await refused(await forged([{ ...entry, name }])), /^MESH_BACKUP_INVALID/)
    })

  for (const [type, what] of [
    ['1', 'hard link'],
    ['2', 'symbolic link'],
    ['3', 'character device'],
    ['5', 'directory'],
    ['6', 'named pipe'],
    ['x', 'extended header'],
    ['L', 'long name of GNU tar'],
  ] as const)
    it(`is refused for a ${what}`, async () => {
      const linkTo = '/etc/passwd'
      const archive = await forged([{ name: 'keys', content: '', type, linkTo }])
      assert.match(await refused(archive), /not a regular file/)
    })

  it('is refused for a name that is there twice', async () => {
    const twice = await forged([
      { ...entry, name: 'a' },
      { ...entry, name: 'a' },
    ])
    assert.match(await refused(twice), /twice/)
  })

  it('is refused when a file is not what its hash says, is missing, or is one more', async () => {
    const sums = async (change: (list: string) => string) => {
      const whole = await collect(
        decrypt(bytes(await forged([{ ...entry, name: 'a' }])), PASSPHRASE),
      )
      const text = whole.toString('latin1')
      const list = /[0-9a-f]{64} {2}backup\.json\n[0-9a-f]{64} {2}a\n/.exec(text)?.[0] ?? ''
      const { content } = headerEntry()
      return encrypted(
        forgedTar([
          { name: 'backup.json', content },
          { name: 'a', content: 'x' },
          { name: 'SHA256SUMS', content: change(list) },
        ]),
      )
    }
    assert.equal(await refused(await sums((list) => list)), 'accepted')
    const wrong = await sums((list) => list.replace(/[0-9a-f]{64} {2}a/, `${'0'.repeat(64)}  a`))
    assert.match(await refused(wrong), /a is not what SHA256SUMS says/)
    const more = await sums((list) => `${list}${'0'.repeat(64)}  b\n`)
    assert.match(await refused(more), /missing/)
    const fewer = await sums((list) => list.replace(/[0-9a-f]{64} {2}a\n/, ''))
    assert.match(await refused(fewer), /a is not what SHA256SUMS says/)
  })

  it('is refused without its beginning, without its end, and with something behind it', async () => {
    const { content } = headerEntry()
    const file = { name: 'a', content: 'x' }
    assert.match(await refused(await encrypted(forgedTar([file]))), /does not begin/)
    const header = { name: 'backup.json', content }
    assert.match(await refused(await encrypted(forgedTar([header, file]))), /no SHA256SUMS/)
    const whole = await collect(decrypt(bytes(await forged([file])), PASSPHRASE))
    assert.match(await refused(await encrypted(whole, 'more')), /follows its end/)
    assert.match(await refused(await encrypted(whole.subarray(0, 1536))), /MESH_BACKUP_INVALID/)
  })
})

describe('the tar in an archive', () => {
  it('keeps sizes above eight gibibytes, and long names', async () => {
    const name = `${'d'.repeat(90)}/${'f'.repeat(99)}`
    for (const sizeBytes of [0, 8 ** 11 - 1, 8 ** 11, 2 ** 45]) {
      const block = tarHeader({ name, sizeBytes }, Date.now())
      assert.deepEqual(await readTarHeader(createByteReader(bytes(block))), { name, sizeBytes })
    }
  })
})
