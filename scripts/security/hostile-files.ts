/**
 * Files that a gateway follows, replaced under load by what is torn, random, huge, deep, slow or no file at all. The last good one
 * stays in force, nobody else is held up, and the good file that is put back is read.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { waitFor } from '../../test/support/wait-for.ts'
import { type AttackedMesh, openAttackedMesh } from './attacked-mesh.ts'
import type { Campaign, Report } from './campaign.ts'
import { requestThrough, sendToEgress } from './egress-client.ts'
import { issueToken } from './gateway-keys.ts'
import { createRandom, type Random } from './random.ts'

const STEPS = 15
/** Time for a look at the files, of which one is taken each 200 ms. */
const SEEN_MS = 250
const REQUESTS = 5

export const hostileFiles: Campaign = {
  name: 'hostile files',
  async run(seed, deadlineMs, report) {
    await using world = await openAttackedMesh(report, {
      config: { revocation: { crl: 'crl.pem' } },
      prepare: async ({ dir, ca }) => await writeFile(join(dir, 'crl.pem'), (await ca.crl()).pem),
    })
    await attack(world, createRandom(seed), deadlineMs, report)
  },
}

async function attack(
  world: AttackedMesh,
  random: Random,
  deadlineMs: number,
  report: Report,
): Promise<void> {
  const { mesh, destination } = world
  const token = await issueToken(mesh)
  const ask = async () => {
    const path = `/${'a/'.repeat(random.int(4_000))}`
    return await sendToEgress(mesh.gateway.egress, requestThrough(destination, token, path))
  }
  const places = [
    'policy/acme.json',
    'crl.pem',
    'gateway.json',
    'keys/ring.json',
    'gateway/tls.crt',
  ]
  const files = places.map((place) => join(mesh.dir, place))
  const good = new Map<string, Buffer>()
  for (const file of files) good.set(file, await readFile(file))

  for (let step = 0; step < STEPS && Date.now() < deadlineMs; step += 1) {
    // what a tenant writes most of all
    const file = random.int(2) === 0 ? files[0] : random.pick(files)
    assert.ok(file !== undefined)
    const bytes = good.get(file) ?? Buffer.alloc(0)
    await put(file, random.pick(HOSTILE), bytes, random)
    const asking = Array.from({ length: REQUESTS }, ask)
    await sleep(SEEN_MS)
    for (const answer of await Promise.all(asking)) assert.match(answer, /^HTTP\/1\.1 (?:200|403) /)
    await world.unharmed()
    if (random.int(3) === 0) await putBack(file, bytes)
    report.steps(1)
  }
  for (const [file, bytes] of good) await putBack(file, bytes)
  await waitFor('the good policy to be in force', async () =>
    (await ask()).startsWith('HTTP/1.1 200 '),
  )
  await world.unharmed()
  await world.end()
}

type Hostile = (good: Buffer, random: Random) => Buffer | 'pipe' | 'directory' | 'huge' | 'gone'

const text = (value: string) => Buffer.from(value)

const HOSTILE: readonly Hostile[] = [
  (_, random) => random.bytes(random.int(5_000)),
  (good, random) => good.subarray(0, random.int(good.length)),
  (good, random) => {
    const bytes = Buffer.from(good)
    bytes[random.int(bytes.length)] = random.int(256)
    return bytes
  },
  (good) => Buffer.concat([good, good]),
  (_, random) => text('['.repeat(1 + random.int(900_000))),
  (_, random) => text(`{"tenant":"acme","egress":${'{"a":'.repeat(random.int(100_000))}`),
  (_, random) => manyGlobs(random),
  (_, random) => manyRules(random),
  () => text('{"tenant":"globex","egress":{"allow":["*.test"]}}'),
  () => text('{"__proto__":{"tenant":"acme"},"constructor":{"prototype":{}}}'),
  () => Buffer.alloc(0),
  () => 'pipe',
  () => 'directory',
  () => 'huge',
  () => 'gone',
]

/** Good policy, made to cost as much as it can. */
function manyGlobs(random: Random): Buffer {
  const stars = random.pick(['**/a/**/a/**/b', '*/*/*/*', '**a**a**a**', 'a/**'])
  const paths = Array.from({ length: 1 + random.int(9_000) }, (_, i) => `/${stars}/${i}`)
  return text(JSON.stringify({ tenant: 'acme', egress: { allow: [{ host: '*.test', paths }] } }))
}

function manyRules(random: Random): Buffer {
  const hosts = (count: number) => Array.from({ length: count }, (_, i) => `*.h${i}.api.test`)
  const [allow, deny] = [hosts(random.int(9_000)), hosts(random.int(9_000))]
  const from = hosts(random.int(2_000)).map((_, i) => ({ from: '*', to: `agent-${i}` }))
  const policy = { tenant: 'acme', egress: { allow, deny }, delegation: { allow: from } }
  return text(JSON.stringify(policy))
}

const HUGE_BYTES = 300 * 2 ** 20

async function put(file: string, make: Hostile, good: Buffer, random: Random): Promise<void> {
  const made = make(good, random)
  await rm(file, { recursive: true, force: true })
  const next = `${file}.next`
  if (made === 'gone') return
  if (made === 'pipe') await makePipe(next)
  else if (made === 'directory') await mkdir(next)
  else if (made === 'huge') {
    const sparse = await open(next, 'w')
    await sparse.truncate(HUGE_BYTES)
    await sparse.close()
  } else await writeFile(next, made)
  await rename(next, file)
}

/** A machine may lack the program, which is the only way from Node to a named pipe: then a directory stands in. */
async function makePipe(path: string): Promise<void> {
  const { status } = spawnSync('mkfifo', [path])
  if (status !== 0) await mkdir(path)
}

async function putBack(file: string, good: Buffer): Promise<void> {
  await put(file, () => good, good, createRandom(0))
}
