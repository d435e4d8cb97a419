/** Links that lead nowhere within the repository. Those to the web are not followed. */
import { dirname, join, normalize } from 'node:path/posix'
import type { SourceFile } from '../repository-files.ts'
import { anchors, linkTargets } from './markdown-files.ts'

export function linkFaults(
  documents: readonly SourceFile[],
  files: readonly SourceFile[],
): string[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const folders = new Set(files.flatMap(({ path }) => foldersOf(path)))
  return documents.flatMap((document) =>
    linkTargets(document).flatMap((target) => {
      if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return []
      const [path = '', anchor] = decodeURIComponent(target).split('#')
      const where = path === '' ? document.path : normalize(join(dirname(document.path), path))
      const found = byPath.get(where)
      if (found === undefined && !folders.has(where.replace(/\/$/, '')))
        return [`${document.path}: ${target} leads nowhere`]
      if (anchor === undefined || anchor === '' || found === undefined) return []
      if (!where.endsWith('.md'))
        return /^L\d+/.test(anchor) ? [] : [`${document.path}: ${target}: no such anchor`]
      return anchors(found).has(anchor) ? [] : [`${document.path}: ${target}: no such heading`]
    }),
  )
}

function foldersOf(path: string): string[] {
  const parts = path.split('/').slice(0, -1)
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'))
}
