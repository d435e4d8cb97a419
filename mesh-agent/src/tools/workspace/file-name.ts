/**
 * File names for what another party named. A number stands before each, so that none is a name with a meaning of its own: neither a
 * hidden file, nor one that an agent host reads as instructions (AGENTS.md, CLAUDE.md), nor one of another file.
 */

const MAX_NAME = 48
const MAX_EXTENSION = 10

/** @param name as the other party wrote it. @returns one part of a path, e.g. `2-report.pdf` */
export function safeFileName(index: number, name: string): string {
  const last = name.toWellFormed().normalize('NFC').split(/[/\\]/).at(-1) ?? ''
  const plain = last.replaceAll(/[^\p{L}\p{M}\p{N}._-]/gu, '_').replace(/^[._-]+/, '')
  const [, stem = '', extension = ''] =
    new RegExp(`^(.*?)(\\.[A-Za-z0-9]{1,${MAX_EXTENSION}})?$`, 's').exec(plain) ?? []
  const letters = Array.from(stem).slice(0, MAX_NAME).join('')
  return `${index}-${letters === '' ? 'file' : letters}${extension}`
}

/** For what has no name: `output.png` for image/png. */
export function nameForType(stem: string, mediaType: string): string {
  const extension = EXTENSIONS.get(mediaType.split(';')[0]?.trim().toLowerCase() ?? '') ?? 'bin'
  return `${stem}.${extension}`
}

const EXTENSIONS: ReadonlyMap<string, string> = new Map([
  ['text/plain', 'txt'],
  ['text/html', 'html'],
  ['text/markdown', 'md'],
  ['text/csv', 'csv'],
  ['application/json', 'json'],
  ['application/pdf', 'pdf'],
  ['application/xml', 'xml'],
  ['application/zip', 'zip'],
  ['image/png', 'png'],
  ['image/jpeg', 'jpg'],
  ['image/gif', 'gif'],
  ['image/webp', 'webp'],
  ['image/svg+xml', 'svg'],
  ['audio/mpeg', 'mp3'],
  ['video/mp4', 'mp4'],
])
