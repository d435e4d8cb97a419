import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { cp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { inspect } from 'node:util'
import { openCa, readCaInfo } from '@clawmesh/pki'
import { MeshError, Secret } from '@clawmesh/proto'
import { MESH_PKI } from '../run.ts'
import { makeCa, makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

describe('openCa', () => {
  let scratch: Scratch
  before(async () => {
    scratch = await makeScratch()
    await makeCa(scratch.path('ca'))
    await makeCa(scratch.path('other'))
  })
  after(() => scratch.remove())

  it('says that a passphrase is wrong, and never shows it', async () => {
    const passphrase = new Secret('not the passphrase')
    const error: unknown = await openCa({ dir: scratch.path('ca'), passphrase }).catch((e) => e)
    assert.ok(error instanceof MeshError)
    assert.equal(error.code, 'MESH_PKI_PASSPHRASE')
    assert.doesNotMatch(inspect(error, { depth: null }), /not the passphrase/)
  })

  it('needs no root key, so that one can be kept elsewhere', async () => {
    const dir = scratch.path('online')
    await cp(scratch.path('ca'), dir, { recursive: true })
    await rm(scratch.path('online', 'root.key'))
    const ca = await openCa({ dir, passphrase: PASSPHRASE })
    ca.issueAgent({ tenant: 'acme', agent: 'planner' })
  })

  it('says that there is none', async () => {
    await assert.rejects(openCa({ dir: scratch.path('nothing'), passphrase: PASSPHRASE }), {
      code: 'MESH_PKI_NOT_FOUND',
    })
  })

  it('uses no CA of which a file is missing, cut short, or of another CA', async () => {
    const files = ['ca.json', 'root.crt', 'intermediate.crt', 'intermediate.key'] as const
    const torn = scratch.path('torn')
    const faults = {
      missing: (name: string) => rm(scratch.path('torn', name)),
      cut: (name: string) => truncate(scratch.path('torn', name), 100),
      empty: (name: string) => truncate(scratch.path('torn', name), 0),
      foreign: (name: string) => cp(scratch.path('other', name), scratch.path('torn', name)),
    }
    for (const [fault, tear] of Object.entries(faults))
      for (const name of files) {
        await rm(torn, { recursive: true, force: true })
        await cp(scratch.path('ca'), torn, { recursive: true })
        await tear(name)
        await assert.rejects(
          openCa({ dir: torn, passphrase: PASSPHRASE }),
          { code: 'MESH_PKI_INVALID' },
          `${fault} ${name}`,
        )
      }
  })

  it('uses no CA whose manifest is no object, or whose key file holds two keys', async () => {
    const dir = scratch.path('odd')
    await cp(scratch.path('ca'), dir, { recursive: true })
    const refused = (what: string) =>
      assert.rejects(openCa({ dir, passphrase: PASSPHRASE }), { code: 'MESH_PKI_INVALID' }, what)
    const key = await readFile(join(dir, 'intermediate.key'), 'utf8')
    await writeFile(join(dir, 'intermediate.key'), key + key)
    await refused('two keys')
    await writeFile(join(dir, 'intermediate.key'), key)
    for (const text of ['5', '"x"', 'null', '[]', 'true']) {
      await writeFile(join(dir, 'ca.json'), text)
      await refused(text)
    }
  })

  it('refuses a key that is not encrypted', async () => {
    const dir = scratch.path('plain')
    await cp(scratch.path('ca'), dir, { recursive: true })
    const { privateKey } = (await openCa({ dir, passphrase: PASSPHRASE })).issueAgent({
      tenant: 'acme',
      agent: 'planner',
    })
    await writeFile(scratch.path('plain', 'intermediate.key'), privateKey.reveal())
    await assert.rejects(openCa({ dir, passphrase: PASSPHRASE }), { code: 'MESH_PKI_INVALID' })
  })

  it('follows certificates, not a manifest that was changed to widen them', async () => {
    const dir = scratch.path('widened')
    await cp(scratch.path('ca'), dir, { recursive: true })
    const path = scratch.path('widened', 'ca.json')
    const manifest = await readFile(path, 'utf8')
    await writeFile(path, manifest.replaceAll('mesh.internal', 'example.com'))
    await assert.rejects(openCa({ dir, passphrase: PASSPHRASE }), { code: 'MESH_PKI_INVALID' })
  })

  it('finds a whole CA or none after init was killed while it wrote', async function () {
    this.timeout(120_000)
    for (const [round, name] of ['root.crt', 'root.key', 'intermediate.crt', 'ca.json'].entries()) {
      const dir = scratch.path(`killed-${round}`)
      const args = [MESH_PKI, 'init', '--trust-domain', 'mesh.internal', '--dir', dir]
      const env = { MESH_PKI_PASSPHRASE: PASSPHRASE.reveal() }
      const child = spawn(process.execPath, args, { env, stdio: 'ignore' })
      const ended = once(child, 'exit')
      while (!existsSync(`${dir}/${name}`) && child.exitCode === null) await setImmediate()
      child.kill('SIGKILL')
      await ended
      const whole = await openCa({ dir, passphrase: PASSPHRASE }).then(
        () => true,
        (error: unknown) => {
          assert.ok(error instanceof MeshError && error.code === 'MESH_PKI_INVALID')
          assert.match(error.message, /half made/)
          return false
        },
      )
      if (whole) await readCaInfo(dir)
    }
  })
})
