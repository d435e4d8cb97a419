/**
 * The console of a real gateway in Debian's Chromium: what a person sees, by mouse and by keyboard, at any width, in light
 * and dark. With CLAWMESH_SCREENSHOT=docs/guides/console.png it makes the picture of the guide again.
 */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import axe from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { closeServer, listenOnFreePort } from '../../support/http-origin.ts'
import { waitFor } from '../../support/wait-for.ts'
import { startWatchedMesh, type WatchedMesh } from '../../support/watched-mesh.ts'
import { HOSTILE, meshOf } from './large-mesh.ts'

const PAGES = [
  'overview',
  'mesh',
  'trees',
  'decisions',
  'open',
  'peers',
  'limits',
  'explain',
  'replay',
]

describe('the console, in a browser', function () {
  this.timeout(120_000)
  let watched: WatchedMesh
  let browser: Browser
  let task: Awaited<ReturnType<WatchedMesh['begin']>>
  let page: Page
  let faults: string[]
  let asked: Set<string>

  before(async () => {
    const executablePath = '/usr/bin/chromium'
    assert.ok(existsSync(executablePath), 'chromium is installed')
    // root has no sandbox; nothing but the gateway is asked
    const launching = chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })
    watched = await startWatchedMesh()
    browser = await launching
    await watched.work()
    await watched.beRefused()
    task = await watched.begin()
  })
  after(async () => {
    await browser?.close()
    await task?.end()
    await watched?.close()
  })

  const open = async (options: BrowserContextOptions = {}) => {
    const context = await browser.newContext(options)
    page = await context.newPage()
    faults = []
    asked = new Set()
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) faults.push(message.text())
    })
    page.on('pageerror', (error) => faults.push(String(error)))
    page.on('request', (request) => asked.add(new URL(request.url()).origin))
  }
  beforeEach(() => open())
  afterEach(async () => {
    await page.context().close()
    assert.deepEqual(faults, [], 'no error on the console of the browser')
  })

  const base = () => `http://${watched.mesh.gateway.admin}`
  const show = async (name: string) => {
    await page.goto(`${base()}/console/#${name}`)
    await page.locator(`#page[data-page=${name.split('/')[0]}][data-ready=yes]`).waitFor()
  }
  const body = () => page.locator('#page').innerText()
  const axeFaults = async (rules: readonly string[] = []) => {
    await page.evaluate(axe.source)
    const options = rules.length === 0 ? {} : { runOnly: rules }
    const { violations } = await page.evaluate(
      (chosen) => Object(globalThis).axe.run(chosen),
      options,
    )
    return violations.map(
      (one: axe.Result) => `${one.id}: ${one.nodes.map(({ html }) => html).join(' ')}`,
    )
  }

  it('shows whether all is well, certificates with the time left, and loads nothing from elsewhere', async () => {
    const answer = await page.goto(`${base()}/console`)
    assert.equal(new URL(page.url()).pathname, '/console/')
    assert.match(answer?.headers()['content-security-policy'] ?? '', /default-src 'none'/)
    await page.locator('#page[data-ready=yes]').waitFor()
    const text = await body()
    assert.match(text, /^ready spiffe:\/\/mesh\.internal\/gateway\/gw-1/)
    assert.match(text, /certificate\s+spiffe:.*in \d+ hours/)
    assert.match(text, /signing key, active/)
    for (const name of PAGES) await show(name)
    assert.deepEqual([...asked], [base()])
  })

  it('draws the mesh, what is refused in red', async () => {
    await show('mesh')
    const titles = await page.locator('svg.mesh path.refused title').allTextContents()
    assert.ok(titles.some((title) => /acme\/planner to gist\.example:443: 0 allowed/.test(title)))
    const [red, plain] = await Promise.all(
      ['refused', 'allowed'].map((kind) =>
        page
          .locator(`svg.mesh path.${kind}`)
          .first()
          .evaluate((path) => Object(globalThis).getComputedStyle(path).stroke),
      ),
    )
    assert.match(red, /^rgb\(179, 20, 29\)$/)
    assert.notEqual(red, plain)
    await page.getByLabel('Agent or host').fill('gist')
    await waitFor('the filter', async () => (await page.locator('tbody tr').count()) === 1)
    assert.match(await body(), /MESH_POLICY_DENIED acme\.json#\/egress\/deny\/0/)
  })

  it('follows a tree of delegations as it runs, and shows where its time goes', async () => {
    await show('trees')
    await page.getByRole('link', { name: task.rootId }).click()
    await page.locator('#page[data-ready=yes] svg.bar').first().waitFor()
    const text = await body()
    assert.match(text, /acme\/planner → acme\/researcher\s+running/)
    assert.match(text, /acme\/researcher → acme\/writer\s+running/)
    const before = await page.locator('svg.bar').count()
    assert.equal(before, 2)
  })

  it('finds a decision, says why, and which line to add', async () => {
    await show('decisions')
    await page.getByLabel('Reason').fill('not_allowed')
    await waitFor('the filter', async () => {
      const rows = await page.locator('tbody tr').allInnerTexts()
      return rows.length > 0 && rows.every((row) => row.includes('MESH_POLICY_NOT_ALLOWED'))
    })
    await page.getByRole('button', { name: 'Why, for acme/planner to acme/writer' }).first().click()
    await page.getByRole('heading', { name: 'refused' }).waitFor()
    assert.match(await body(), /what to do\s+.*"from": ?"planner"/)
    await page.getByLabel('What', { exact: true }).selectOption('egress')
    await page.getByLabel('Host and port').fill('gist.example')
    await page.getByLabel('Method').fill('')
    await page.getByRole('button', { name: 'Explain' }).click()
    await page.getByText('acme.json#/egress/deny/0', { exact: true }).waitFor()
  })

  it('shows what a candidate policy would change, and its faults with their lines', async () => {
    await show('replay')
    await page.getByLabel('File').fill('acme.json')
    await page.getByLabel('Its text').fill('{ "tenant": "acme", "egress": { "allow": [] } }')
    await page.getByRole('button', { name: 'Replay' }).click()
    await page.getByText('Newly refused', { exact: true }).first().waitFor()
    assert.match(await body(), /acme\/planner\s+acme\/researcher/)
    await page.getByLabel('Its text').fill('{ "tenant": "acme",\n "egres": {} }')
    await page.getByRole('button', { name: 'Replay' }).click()
    await page.getByText(/did you mean egress/).waitFor()
  })

  it('is used by keyboard alone', async () => {
    await show('overview')
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate(FOCUSED), 'To the content')
    await page.keyboard.press('Enter')
    assert.equal(await page.evaluate('document.activeElement.id'), 'main')
    await page.reload()
    await page.locator('#page[data-ready=yes]').waitFor()
    for (let i = 0; i < 20 && (await page.evaluate(FOCUSED)) !== 'Decisions'; i += 1)
      await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.locator('#page[data-page=decisions][data-ready=yes]').waitFor()
    assert.equal(await page.evaluate(FOCUSED), 'Decisions', 'the title of the new page is read out')
    for (let i = 0; i < 30 && (await page.evaluate(FOCUSED)) !== 'why'; i += 1)
      await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'refused' }).waitFor()
  })

  for (const colorScheme of ['light', 'dark'] as const)
    it(`has no fault that axe finds, in ${colorScheme}`, async () => {
      await page.context().close()
      await open({ colorScheme })
      // what differs in the dark is the colours
      const dark = colorScheme === 'dark'
      const rules = dark ? ['color-contrast'] : []
      const names = dark ? ['overview', 'mesh', 'decisions', 'explain'] : PAGES
      for (const name of [...names, `trees/${task.rootId}`]) {
        await show(name)
        assert.deepEqual(await axeFaults(rules), [], name)
      }
      const ground = await page.evaluate('getComputedStyle(document.body).backgroundColor')
      assert.equal(ground, dark ? 'rgb(20, 24, 29)' : 'rgb(255, 255, 255)')
    })

  it('fits into 400 pixels: tables scroll by themselves, the page does not', async () => {
    await page.context().close()
    await open({ viewport: { width: 400, height: 800 } })
    for (const name of PAGES) {
      await show(name)
      const width = Number(await page.evaluate('document.documentElement.scrollWidth'))
      assert.ok(width <= 400, `${name} is ${width} wide`)
    }
  })

  it('shows hostile names as text, and a thousand agents', async () => {
    const mesh = meshOf(1_000)
    await page.route('**/api/mesh', (route) => route.fulfill({ json: mesh }))
    const began = performance.now()
    await show('mesh')
    await page.getByLabel('Agent or host').fill('agent-777')
    await waitFor('the filter', async () => (await page.locator('tbody tr').count()) === 3)
    const tookMs = performance.now() - began
    process.stdout.write(`    console with 1,000 agents: usable after ${tookMs.toFixed(0)} ms\n`)
    await page.getByLabel('Agent or host').fill('')
    const text = await page.locator('main').textContent()
    for (const { seen } of HOSTILE) assert.ok(text?.includes(seen), seen)
    assert.equal(await page.locator('main img, main script, main iframe').count(), 0)
    assert.equal(await page.evaluate('typeof globalThis.hacked'), 'undefined')
  })

  it('says that a worker did not answer, until all of them do', async () => {
    let silent = 1
    await page.route('**/api/decisions*', async (route) => {
      const response = await route.fetch()
      await route.fulfill({ json: { ...(await response.json()), silent_workers: silent } })
    })
    await show('decisions')
    await page.getByText('one worker has not answered: what is theirs is missing here').waitFor()
    silent = 0
    await page.getByText('what is theirs is missing').waitFor({ state: 'detached' })
  })

  it('cannot be read by a page of another origin, nor shown in a frame', async () => {
    const evil = createServer((_request, response) => {
      response.setHeader('content-type', 'text/html')
      response.end(`<iframe src="${base()}/console/"></iframe><p id="out"></p>`)
    })
    const port = await listenOnFreePort(evil)
    try {
      await page.goto(`http://127.0.0.1:${port}/`)
      const read = `fetch('${base()}/api/overview').then((r) => r.text(), () => 'nothing')`
      assert.equal(await page.evaluate(read), 'nothing')
      const posted = `fetch('${base()}/api/explain', { method: 'POST', mode: 'no-cors', body: '{}' }).then((r) => r.type, () => 'nothing')`
      assert.ok(['opaque', 'nothing'].includes(String(await page.evaluate(posted))))
      assert.equal(await page.frameLocator('iframe').locator('#console').count(), 0)
    } finally {
      await closeServer(evil)
    }
    // the browser says so itself
    faults.splice(0)
  })

  it('says that the gateway gives no answer, and goes on when it does again', async () => {
    await show('overview')
    await page.route('**/api/overview', (route) => route.abort())
    await page.locator('[role=alert] .bad').waitFor()
    await page.unroute('**/api/overview')
    await page.locator('[role=alert] .bad').waitFor({ state: 'detached' })
    faults.splice(0)
  })

  const { CLAWMESH_SCREENSHOT: picture } = process.env
  if (picture !== undefined)
    it(`makes ${picture}`, async () => {
      await page.context().close()
      await open({ viewport: { width: 1_060, height: 620 }, colorScheme: 'light' })
      await show('mesh')
      await page.screenshot({ path: picture })
    })
})

const FOCUSED = 'document.activeElement.textContent'
