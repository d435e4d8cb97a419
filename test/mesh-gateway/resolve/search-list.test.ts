/** A name with a dot leads where it says, whatever domains resolv.conf tells the system to append. */
import assert from 'node:assert/strict'
import { runInNameSpace, whyNoNameSpace } from '../../support/name-space.ts'

/** As kubelet writes it, with a domain of the node that has a wildcard record. */
const RESOLV_CONF = `nameserver 127.0.0.1
search default.svc.cluster.local svc.cluster.local cluster.local corp.internal
options ndots:5 timeout:2
`
const HOSTS = '127.0.0.1 localhost\n127.0.0.2 Listed.vendor.com # by hand\n'

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

describe('names, where the search list of the system has a domain that answers any name', function () {
  this.timeout(240_000)
  let found: Record<string, unknown> = {}
  let asked: readonly unknown[] = []

  before(async function () {
    const why = whyNoNameSpace()
    if (why !== null) {
      process.stderr.write(`left out: ${why}\n`)
      this.skip()
    }
    const program = new URL('./search-list-world.ts', import.meta.url)
    const said: unknown = JSON.parse(
      await runInNameSpace(program, { resolvConf: RESOLV_CONF, hosts: HOSTS }),
    )
    assert.ok(isRecord(said) && isRecord(said.found) && Array.isArray(said.asked))
    found = said.found
    asked = said.asked
  })

  const MEANT: readonly string[] = [
    ...['absolute', 'absolute, trailing dot', 'relay', 'tunnel', 'tunnel, trailing dot'],
    ...['a peer', 'a peer by SRV', 'keys of an issuer', 'by dns.servers'],
  ]
  for (const way of MEANT)
    it(`leads where the name says: ${way}`, () => assert.equal(found[way], '127.0.0.2'))

  it('asks DNS for no name that was not judged', () => {
    const completed = asked.filter((name) => String(name).endsWith('vendor.com.corp.internal'))
    assert.deepEqual(completed, [])
  })

  it('finds what stands in the hosts file, and does not ask DNS for it', () => {
    assert.equal(found['in the hosts file'], '127.0.0.2')
    assert.ok(!asked.includes('listed.vendor.com'))
  })

  it('completes a name of one label by the search list, as it always did', () => {
    assert.equal(found['one label'], '127.0.0.66')
    assert.match(String(found['one label, by dns.servers']), /not-found/)
  })
})
