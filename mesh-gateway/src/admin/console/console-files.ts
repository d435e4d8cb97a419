/**
 * Serves the console below /console/: one page of HTML, its style, its modules and lit-html, from this package and from
 * nowhere else. The modules are those of page/, as they are: a browser follows their imports. In a checkout they are
 * TypeScript, whose types are taken away; what is published is JavaScript.
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { stripTypeScriptTypes } from 'node:module'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readWhole } from '@clawmesh/agent-sdk/mesh'
import { pathOf, refuseOther, send } from '../http-port.ts'
import { STYLE } from './style.ts'

export interface Console {
  readonly takesBody: boolean
  /** True for a path of the console. */
  serves(path: string): boolean
  answer(request: IncomingMessage, response: ServerResponse): Promise<void>
}

interface File {
  readonly type: string
  readonly body: string
}

/** The modules of page/. */
const MODULES = [
  ...['ask', 'decisions', 'draw-mesh', 'explain', 'lay-out', 'main', 'mesh', 'overview', 'parts'],
  ...['replay', 'shapes', 'traffic', 'trees', 'words'],
] as const
const EXTENSION = extname(import.meta.url)
const MAX_BYTES = 262_144
const SCRIPT = 'text/javascript; charset=utf-8'

/** Where the page finds the one module that it imports by name. */
const IMPORTS = JSON.stringify({ imports: { 'lit-html': '/console/lit-html.js' } })
const HASH = createHash('sha256').update(IMPORTS).digest('base64')

/** Nothing from elsewhere, no script in the page but the map above, and no text that becomes markup. */
const POLICY = [
  "default-src 'none'",
  `script-src 'self' 'sha256-${HASH}'`,
  ...["style-src 'self'", "img-src 'self'", "connect-src 'self'", "base-uri 'none'"],
  ...[
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    'trusted-types lit-html',
  ],
].join('; ')

const PAGE = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>mesh-gateway</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="/console/icon.svg">
<link rel="stylesheet" href="/console/style.css">
<script type="importmap">${IMPORTS}</script>
<script type="module" src="/console/page/main${EXTENSION}"></script>
</head><body>
<noscript>The console needs JavaScript. The <a href="/">status page</a> does not.</noscript>
<div id="console"></div>
</body></html>
`

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="6" fill="#0a58b8"/></svg>'

export function createConsole(): Console {
  let files: Promise<ReadonlyMap<string, File>> | null = null
  return {
    takesBody: false,
    serves: (path) => path === '/console' || path.startsWith('/console/'),
    async answer(request, response) {
      const path = pathOf(request)
      if (path === '/console') {
        response.setHeader('location', '/console/')
        return send(response, 308, 'text/plain', '/console/\n', POLICY)
      }
      files ??= readFiles()
      const known = await files
      if (refuseOther(request, response, [...known.keys()])) return
      const { type, body } = known.get(path) ?? { type: 'text/plain', body: '' }
      send(response, 200, type, body, POLICY)
    },
  }
}

async function readFiles(): Promise<ReadonlyMap<string, File>> {
  const modules = MODULES.map(async (name) => {
    const text = await read(new URL(`./page/${name}${EXTENSION}`, import.meta.url))
    const body = EXTENSION === '.ts' ? stripTypeScriptTypes(text) : text
    return [`/console/page/${name}${EXTENSION}`, { type: SCRIPT, body }] as const
  })
  const library = await read(new URL('lit-html.js', libraryPlace()))
  return new Map<string, File>([
    ['/console/', { type: 'text/html; charset=utf-8', body: PAGE }],
    ['/console/icon.svg', { type: 'image/svg+xml', body: ICON }],
    ['/console/style.css', { type: 'text/css; charset=utf-8', body: STYLE }],
    [
      '/console/lit-html.js',
      { type: SCRIPT, body: library.replace(/^\/\/# sourceMapping.*$/m, '') },
    ],
    ...(await Promise.all(modules)),
  ])
}

async function read(url: URL): Promise<string> {
  return (await readWhole(fileURLToPath(url), { maxBytes: MAX_BYTES })).toString('utf8')
}

/** For Node the package names a file of a folder of its own; the one for browsers is beside that folder. */
function libraryPlace(): string {
  return import.meta.resolve('lit-html').replace(/\/node\/[^/]*$/, '/')
}
