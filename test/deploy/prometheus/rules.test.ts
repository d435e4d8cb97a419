/** deploy/prometheus/rules.yml by Debian's promtool: the rules load, and each alert fires when it should and not else. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { needProgram } from '../../support/need-program.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const RULES = 'deploy/prometheus/rules.yml'
const CASES = 'test/deploy/prometheus/rules-test.yml'

describe('the rules for Prometheus', () => {
  before(function () {
    needProgram(this, 'promtool')
  })

  const promtool = async (...args: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await promisify(execFile)('promtool', args, { cwd: ROOT })
    return `${stdout}${stderr}`
  }

  it('load, without a warning', async () => {
    const said = await promtool('check', 'rules', '--lint=all', '--lint-fatal', RULES)
    assert.match(said, /SUCCESS: \d+ rules found\s*$/)
  })

  it('fire and are silent as their cases say, each alert in both ways', async () => {
    assert.match(await promtool('test', 'rules', CASES), /SUCCESS/)
    const alerts = [...(await readFile(join(ROOT, RULES), 'utf8')).matchAll(/- alert: (\w+)/g)]
    const cases = await readFile(join(ROOT, CASES), 'utf8')
    assert.ok(alerts.length >= 13)
    for (const [, alert] of alerts) {
      const fires = new RegExp(`alertname: ${alert}\\s+exp_alerts:`)
      const silent = new RegExp(`alertname: ${alert}(?: \\}|\\s+- eval_time)`)
      assert.match(cases, fires, `${alert} fires in no case`)
      assert.match(cases, silent, `${alert} is silent in no case`)
    }
  })

  it('count denials: by increase() five of them would be an alarm', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'clawmesh-rules-'))
    try {
      const rules = await readFile(join(ROOT, RULES), 'utf8')
      const byIncrease = rules.replace(
        /expr: sum without \(([^)]*)\) \(clawmesh_decisions_total.*/,
        'expr: sum without ($1) (increase(clawmesh_decisions_total{action="deny"}[75s])) > 5',
      )
      assert.notEqual(byIncrease, rules)
      await writeFile(join(dir, 'rules.yml'), byIncrease)
      await cp(join(ROOT, CASES), join(dir, 'cases.yml'))
      const cases = await readFile(join(dir, 'cases.yml'), 'utf8')
      await writeFile(join(dir, 'cases.yml'), cases.replace(`../../../${RULES}`, 'rules.yml'))
      await assert.rejects(promtool('test', 'rules', join(dir, 'cases.yml')), /ClawmeshDenials/)
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })
})
