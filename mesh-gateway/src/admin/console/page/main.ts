/**
 * The console: asks the endpoints of this gateway for the page that is open, every two seconds while it can be seen, and
 * draws the answer. It keeps nothing, and sends nothing but questions.
 */
import { html, nothing, render, type TemplateResult } from 'lit-html'
import { Asking } from './ask.ts'
import { type DecisionFilter, decisionsPage, decisionsPath, NO_FILTER } from './decisions.ts'
import {
  EMPTY_FORM,
  type ExplainForm,
  type ExplainState,
  explainPage,
  formOf,
  questionOf,
} from './explain.ts'
import { meshPage } from './mesh.ts'
import { overviewPage } from './overview.ts'
import { type ReplayForm, type ReplayState, replayPage } from './replay.ts'
import type {
  Certificates,
  Decision,
  Decisions,
  Explained,
  Limits,
  Mesh,
  Open,
  Overview,
  Peers,
  Tree,
  Trees,
} from './shapes.ts'
import { limitsPage, openPage, peersPage } from './traffic.ts'
import { treePage, treesPage } from './trees.ts'

const EVERY_MS = 2_000
const PAGES = [
  ['overview', 'Overview'],
  ['mesh', 'Mesh'],
  ['trees', 'Trees'],
  ['decisions', 'Decisions'],
  ['open', 'Open'],
  ['peers', 'Peers'],
  ['limits', 'Limits'],
  ['explain', 'Explain'],
  ['replay', 'Replay'],
] as const

class Console {
  readonly #root: HTMLElement
  readonly #gateway = new Asking()
  #page: string = 'overview'
  #id = ''
  #paused = false
  #fault: string | null = null
  /** Draws the latest answer; null while there is none. */
  #draw: (() => TemplateResult) | null = null
  /** Answers to an earlier question than the latest are dropped. */
  #asked = 0
  #timer = 0
  #filter: DecisionFilter = NO_FILTER
  #agent = ''
  #explain: ExplainState = { form: EMPTY_FORM, answer: null, fault: null }
  #replay: ReplayState = { form: { file: '', text: '' }, answer: null, fault: null, busy: false }

  constructor(root: HTMLElement) {
    this.#root = root
  }

  start(): void {
    window.addEventListener('hashchange', () => this.#open(true))
    document.addEventListener('visibilitychange', () => this.#refresh())
    this.#open(false)
  }

  /** @param moved the user has chosen another page: its title gets the focus, so that it is read out */
  #open(moved: boolean): void {
    const [page = '', id = ''] = location.hash.slice(1).split('/')
    this.#page = PAGES.some(([known]) => known === page) ? page : 'overview'
    this.#id = id
    this.#draw = null
    this.#fault = null
    this.#show()
    if (moved) document.querySelector<HTMLElement>('h1')?.focus()
    this.#refresh()
  }

  #refresh(): void {
    window.clearTimeout(this.#timer)
    if (document.hidden) return
    this.#asked += 1
    const asked = this.#asked
    this.#ask()
      .then(
        (draw) => {
          if (asked !== this.#asked) return
          this.#draw = draw
          this.#fault = null
        },
        (error: unknown) => {
          if (asked === this.#asked)
            this.#fault = error instanceof Error ? error.message : String(error)
        },
      )
      .finally(() => {
        if (asked !== this.#asked) return
        this.#show()
        const forms = this.#page === 'explain' || this.#page === 'replay'
        if (!this.#paused && !forms)
          this.#timer = window.setTimeout(() => this.#refresh(), EVERY_MS)
      })
  }

  async #ask(): Promise<() => TemplateResult> {
    if (this.#page === 'mesh') {
      const mesh = await this.#gateway.ask<Mesh>('mesh')
      const set = (agent: string) => {
        this.#agent = agent
        this.#show()
      }
      return () => meshPage(mesh, { agent: this.#agent, set })
    }
    if (this.#page === 'trees' && this.#id !== '') {
      const tree = await this.#gateway.ask<Tree>(`trees/${this.#id}`)
      return () => treePage(tree)
    }
    if (this.#page === 'trees') {
      const trees = await this.#gateway.ask<Trees>('trees?last=100')
      return () => treesPage(trees)
    }
    if (this.#page === 'decisions') {
      const decisions = await this.#gateway.ask<Decisions>(decisionsPath(this.#filter))
      const set = (filter: DecisionFilter) => {
        this.#filter = filter
        this.#refresh()
      }
      const explain = (one: Decision) => this.#why(one)
      return () => decisionsPage(decisions, this.#filter, { set, explain })
    }
    return await this.#askSmall()
  }

  async #askSmall(): Promise<() => TemplateResult> {
    if (this.#page === 'open') {
      const open = await this.#gateway.ask<Open>('open')
      return () => openPage(open)
    }
    if (this.#page === 'peers') {
      const peers = await this.#gateway.ask<Peers>('peers')
      return () => peersPage(peers)
    }
    if (this.#page === 'limits') {
      const limits = await this.#gateway.ask<Limits>('limits')
      return () => limitsPage(limits)
    }
    if (this.#page === 'explain') return () => this.#explainForm()
    if (this.#page === 'replay') return () => this.#replayForm()
    const [overview, certificates] = await Promise.all([
      this.#gateway.ask<Overview>('overview'),
      this.#gateway.ask<Certificates>('certificates'),
    ])
    return () => overviewPage({ overview, certificates }, Date.now())
  }

  #explainForm(): TemplateResult {
    const set = (form: ExplainForm) => {
      this.#explain = { ...this.#explain, form }
      this.#show()
    }
    return explainPage(this.#explain, set, () => this.#askWhy())
  }

  #why(one: Decision): void {
    this.#explain = { form: formOf(one), answer: null, fault: null }
    location.hash = 'explain'
    this.#askWhy()
  }

  #askWhy(): void {
    const { form } = this.#explain
    void this.#gateway
      .post<Explained>('explain', questionOf(form))
      .then((answer) => ({ answer, fault: null }))
      .catch((error: Error) => ({ answer: null, fault: error.message }))
      .then((result) => {
        this.#explain = { form: this.#explain.form, ...result }
        this.#show()
      })
  }

  #replayForm(): TemplateResult {
    const set = (form: ReplayForm) => {
      this.#replay = { ...this.#replay, form }
      this.#show()
    }
    return replayPage(this.#replay, set, () => this.#run())
  }

  #run(): void {
    const { form } = this.#replay
    this.#replay = { form, answer: null, fault: null, busy: true }
    this.#show()
    void this.#gateway
      .post<NonNullable<ReplayState['answer']>>('replay', { files: { [form.file]: form.text } })
      .then((answer) => ({ answer, fault: null }))
      .catch((error: Error) => ({ answer: null, fault: error.message }))
      .then((result) => {
        this.#replay = { form: this.#replay.form, ...result, busy: false }
        this.#show()
      })
  }

  #pause(): void {
    this.#paused = !this.#paused
    this.#show()
    this.#refresh()
  }

  #show(): void {
    const title = PAGES.find(([page]) => page === this.#page)?.[1] ?? ''
    document.title = `${title} · mesh-gateway`
    const pause = this.#paused ? 'Go on' : 'Pause'
    render(
      html`<a class="skip" href="#main" @click=${skip}>To the content</a>
        <header>
          <nav aria-label="Pages"><ul>${PAGES.map(([page, words]) => this.#link(page, words))}</ul></nav>
          <button type="button" @click=${() => this.#pause()}>${pause}</button>
        </header>
        <main id="main" tabindex="-1">
          <h1 tabindex="-1">${title}</h1>
          <div role="alert">
            ${this.#fault === null ? '' : html`<p class="bad">${this.#fault}</p>`}
            ${silence(this.#gateway.silentWorkers)}
          </div>
          <div id="page" data-page=${this.#page} data-ready=${this.#draw === null ? 'no' : 'yes'}>
            ${this.#draw?.() ?? html`<p class="empty">asks the gateway…</p>`}
          </div>
        </main>`,
      this.#root,
    )
  }

  #link(page: string, words: string): TemplateResult {
    const current = page === this.#page ? 'page' : nothing
    return html`<li><a href="#${page}" aria-current=${current}>${words}</a></li>`
  }
}

function silence(workers: number): TemplateResult | typeof nothing {
  if (workers === 0) return nothing
  const who = workers === 1 ? 'one worker has' : `${workers} workers have`
  return html`<p class="bad">${who} not answered: what is theirs is missing here</p>`
}

/** The part of the address after # names the page: it must not change. */
function skip(event: Event): void {
  event.preventDefault()
  document.querySelector<HTMLElement>('#main')?.focus()
}

const root = document.querySelector<HTMLElement>('#console')
if (root !== null) new Console(root).start()
