/** Rules are loaded whole or not at all, twice without a change, and come off whole; rules of others stay as they are. */
import { strict as assert } from 'node:assert'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNetworkNamespace, type NetworkNamespace } from './network-namespace.ts'
import { RULES, type Rules, rulesOf, TOOLS } from './rules.ts'

const NAMES = ['two-legs', 'container', 'host-users'] as const
const OF_OTHERS = `
  nft add table inet others
  nft add chain inet others input '{ type filter hook input priority 0; policy accept; }'
  nft add rule inet others input tcp dport 22 accept
  for each in iptables ip6tables; do
    $each -A INPUT -p tcp --dport 22 -j ACCEPT
    $each -t mangle -A FORWARD -j MARK --set-mark 7
  done`

const LAST_DROP = /(?:(?<=\t)drop$|(?<=-j )DROP$)(?![\s\S]*(?:\tdrop|-j DROP)$)/m

/** How a file goes wrong: each is refused whole. The text is that of the shipped file. */
const FAULTS: readonly (readonly [string, (text: string) => string])[] = [
  ['a misspelt word at its end', (text) => text.replace(LAST_DROP, 'dorp')],
  ['an unknown match', (text) => text.replace(/-m multiport|tcp dport/, '-m nonsense')],
  [
    'a chain that is not there',
    (text) => text.replace(/goto drop_\w+|-g CLAWMESH-\w+/, (found) => `${found}X`),
  ],
  [
    'a line that is no rule of ours',
    (text) => text.replace(/^(?:COMMIT|\})$/m, '-A FORWARD -j ACCEPT\n$&'),
  ],
  ['no end', (text) => text.slice(0, Math.floor(text.length * 0.9))],
]

for (const tool of TOOLS)
  describe(`Loading by ${tool}`, () => {
    let space: NetworkNamespace
    let others: string
    let dir: string

    beforeEach(async () => {
      dir = await mkdtemp(join(tmpdir(), 'clawmesh-rules-'))
      space = await createNetworkNamespace()
      await space.run('sh', '-ec', OF_OTHERS)
      others = await rulesOf(tool, { space, name: 'two-legs' }).list()
    })

    afterEach(async () => {
      await space?.close()
      await rm(dir, { recursive: true, force: true })
    })

    const rulesFrom = (name: string, from = RULES): Rules =>
      rulesOf(tool, { space, name, dir: from })

    it('twice is the same as once, and the removal is whole', async () => {
      for (const name of NAMES) {
        const rules = rulesFrom(name)
        await rules.load()
        const listed = await rules.list()
        assert.notEqual(listed, others)
        await rules.load()
        assert.equal(await rules.list(), listed)
        await rules.remove()
        assert.equal(await rules.list(), others)
        await rules.remove()
        assert.equal(await rules.list(), others)
      }
    })

    it('of a changed file is one step, in which nothing of the old one stays', async () => {
      await cp(RULES, dir, { recursive: true })
      await edit(dir, 'two-legs', (text) => text.replaceAll('8443', '9443'))
      await rulesFrom('two-legs').load()
      await rulesFrom('two-legs', dir).load()
      const changed = await rulesFrom('two-legs').list()
      assert.match(changed, /9443/)
      assert.doesNotMatch(changed, /8443/)
      await rulesFrom('two-legs').load()
      assert.doesNotMatch(await rulesFrom('two-legs').list(), /9443/)
    })

    it('of a faulty file changes nothing', async () => {
      const wrong: string[] = []
      for (const name of NAMES) {
        await rulesFrom(name).load()
        const listed = await rulesFrom(name).list()
        for (const [what, spoil] of FAULTS) {
          await cp(RULES, dir, { recursive: true })
          await edit(dir, name, spoil)
          const refused = await rulesFrom(name, dir)
            .load()
            .then(() => false)
            .catch(() => true)
          if (!refused) wrong.push(`${name} with ${what} is loaded`)
          if ((await rulesFrom(name).list()) !== listed)
            wrong.push(`${name} with ${what} changes rules`)
        }
        await rulesFrom(name).remove()
      }
      assert.deepEqual(wrong, [])
      assert.equal(await rulesFrom('two-legs').list(), others)
    })
  })

describe('Loading by nftables', () => {
  it('again lets the counters go on', async () => {
    const space = await createNetworkNamespace()
    try {
      const rules = rulesOf('nftables', { space, name: 'host-users' })
      await rules.load()
      const send = `import socket; socket.socket(2, 2).sendto(b"x", ("127.0.0.1", 53))`
      await space
        .run('setpriv', '--reuid', '2001', '--clear-groups', '/usr/bin/python3', '-c', send)
        .catch(() => {})
      assert.equal(await rules.dropped(), 1)
      await rules.load()
      assert.equal(await rules.dropped(), 1)
    } finally {
      await space.close()
    }
  })
})

describe('Loading by iptables', () => {
  it('changes nothing for IPv4 when the file for IPv6 is faulty', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'clawmesh-rules-'))
    const space = await createNetworkNamespace()
    try {
      await cp(RULES, dir, { recursive: true })
      const file = join(dir, 'two-legs.v6')
      await writeFile(
        file,
        (await readFile(file, 'utf8')).replace('fd77::/64 -j RETURN', 'fd77::/640 -j RETURN'),
      )
      const rules = rulesOf('iptables', { space, name: 'two-legs', dir })
      const listed = await rules.list()
      await assert.rejects(rules.load(), /nothing was changed/)
      assert.equal(await rules.list(), listed)
    } finally {
      await space.close()
      await rm(dir, { recursive: true, force: true })
    }
  })

  it('of another topology takes the place of the one before', async () => {
    const space = await createNetworkNamespace()
    try {
      const rules = (name: string) => rulesOf('iptables', { space, name })
      await rules('host-users').load()
      const alone = await rules('host-users').list()
      await rules('two-legs').load()
      await rules('host-users').load()
      assert.equal(await rules('host-users').list(), alone)
    } finally {
      await space.close()
    }
  })
})

async function edit(dir: string, name: string, change: (text: string) => string): Promise<void> {
  for (const ending of ['nft', 'v4', 'v6']) {
    const file = join(dir, `${name}.${ending}`)
    const text = await readFile(file, 'utf8')
    await writeFile(file, change(text))
  }
}
