/** How long what the commands make is good for: as asked, in days or by a duration. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { makeRequest } from '../make-request.ts'
import { meshPkiHere } from '../run-here.ts'
import { makeScratch, PASSPHRASE, type Scratch } from '../scratch.ts'

const ENV = { MESH_PKI_PASSPHRASE: PASSPHRASE.reveal() }
const OF_PLANNER = ['--tenant', 'acme', '--agent', 'planner']
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

describe('a life that is asked of mesh-pki', function () {
  this.timeout(120_000)

  let scratch: Scratch
  before(async () => {
    scratch = await makeScratch()
  })
  after(() => scratch.remove())

  const facts = async (...args: string[]) => {
    const { code, stdout, stderr } = await meshPkiHere([...args, '--json'], {
      ...{ env: ENV, cwd: scratch.dir },
    })
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout)
  }
  const lasts = (end: string, ms: number) => {
    const leftMs = Date.parse(end) - Date.now()
    // a busy machine takes its time
    assert.ok(leftMs <= ms && leftMs > ms - 10 * 60_000, `${leftMs} of ${ms} ms`)
  }

  it('is that of the root and of the intermediate, also of a renewed one', async () => {
    const lives = ['--root-days', '20', '--intermediate-days', '10']
    const made = await facts('init', '--trust-domain', 'mesh.internal', ...lives)
    lasts(made.root.notAfter, 20 * DAY_MS)
    lasts(made.intermediate.notAfter, 10 * DAY_MS)
    const renewed = await facts('renew', 'intermediate', '--days', '15')
    lasts(renewed.intermediate.notAfter, 15 * DAY_MS)
    assert.equal(renewed.root.notAfter, made.root.notAfter)
  })

  it('is that of a certificate, issued or signed, and of a revocation list', async () => {
    const issued = await facts('issue', 'agent', ...OF_PLANNER, '--ttl', '3h', '--out', 'planner')
    lasts(issued.notAfter, 3 * HOUR_MS)
    const gateway = ['--name', 'gw', '--ttl', '5h', '--out', 'gw']
    lasts((await facts('issue', 'gateway', ...gateway)).notAfter, 5 * HOUR_MS)
    const csr = scratch.path('planner.csr')
    await writeFile(csr, makeRequest())
    const signed = await facts('sign', '--csr', csr, ...OF_PLANNER, '--ttl', '4h', '--out', 'crt')
    lasts(signed.notAfter, 4 * HOUR_MS)
    lasts((await facts('crl', '--ttl', '7d', '--out', 'crl.pem')).nextUpdate, 7 * DAY_MS)
  })
})
