import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { resolveConfig } from '../../../mesh-gateway/src/config/resolve-config.ts'
import { FILE_SETTINGS, SETTINGS } from '../../../mesh-gateway/src/config/settings.ts'

const page = (name: string) =>
  readFile(new URL(`../../../docs/reference/${name}.md`, import.meta.url), 'utf8')

describe('the reference of the gateway', () => {
  it('has a row for every setting, and no other', async () => {
    const rows = (await page('configuration'))
      .split('\n')
      .filter((line) => /^\| `\w[\w.]*` /.test(line))
      .map((row) => row.split(' | ').slice(0, 4).join(' | ').concat(' |'))
    const expected = SETTINGS.map(
      ({ key, env, flag, live }) =>
        `| \`${key}\` | \`${env}\` | \`--${flag}\` | ${live ? 'yes' : 'no'} |`,
    )
    const lists = FILE_SETTINGS.map(
      ({ key, live }) => `| \`${key}\` | in the file only | no flag | ${live ? 'yes' : 'no'} |`,
    )
    assert.deepEqual(
      rows.filter((row) => !lists.includes(row)),
      expected,
    )
    for (const row of lists) assert.ok(rows.includes(row), row)
  })

  it('has a row for every key of the entries of a list, and no other', async () => {
    const rows = [...(await page('configuration')).matchAll(/^\| `([\w.]+\[\]\.[\w.]+)` \|/gm)]
    assert.deepEqual(
      rows.map(([, key]) => key),
      FILE_SETTINGS.flatMap(({ key, entry }) => entry.map((one) => `${key}[].${one}`)),
    )
  })

  it('has examples of other issuers that can be used as they stand', async () => {
    const guide = new URL('../../../docs/guides/egress.md', import.meta.url)
    const examples = [...(await readFile(guide, 'utf8')).matchAll(/^```json\n([\s\S]*?)^```/gm)]
      .map(([, text = '']) => text)
      .filter((text) => text.includes('"issuers"'))
    assert.equal(examples.length, 2)
    for (const text of examples) {
      const whole = {
        trustDomain: 'mesh.internal',
        ...{ identity: { dir: 'i' }, policy: { dir: 'p' }, keys: { dir: 'k' } },
        ...JSON.parse(text),
      }
      const file = { path: 'gateway.json', bytes: Buffer.from(JSON.stringify(whole)) }
      const { config } = resolveConfig({ file, env: {}, flags: {}, cwd: '/' })
      assert.equal(config.tokens.issuers.length, 1)
    }
  })

  it('names everything that is reloaded, and nothing else', async () => {
    const port = new URL('../../../mesh-gateway/src/telemetry/metrics-port.ts', import.meta.url)
    const [, union = ''] =
      /export type Reloadable =([^=]*?)\n\n/.exec(await readFile(port, 'utf8')) ?? []
    const [, sentence = ''] = /`what` is (.*?own list\))\./s.exec(await page('metrics')) ?? []
    const known = [...union.matchAll(/'([\w-]+)'/g)].map(([, what]) => what)
    assert.ok(known.length > 5)
    assert.deepEqual(
      [...sentence.matchAll(/`([\w-]+)`/g)].map(([, what]) => what).toSorted(),
      known.toSorted(),
    )
  })
})
