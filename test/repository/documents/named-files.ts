/** Files of the repository that a document names in backquotes: each has to be there. */
import type { SourceFile } from '../repository-files.ts'
import { proseOf } from './markdown-files.ts'

const FILE =
  /`((?:proto|agent-sdk|pki|mesh-gateway|mesh-agent|scripts|test|bench|examples|docs|\.ci)\/[\w./-]+\.\w+)`/g

export function namedFiles(document: SourceFile): string[] {
  return [...proseOf(document).matchAll(FILE)].map(([, path = '']) => path)
}

export function namedFileFaults(document: SourceFile, paths: ReadonlySet<string>): string[] {
  return namedFiles(document).flatMap((path) =>
    paths.has(path) ? [] : [`${document.path}: there is no ${path}`],
  )
}

/**
 * Each statement of the page on security points to the test that keeps it: a bullet or a paragraph that names no test
 * of the repository is only a claim.
 */
export function unprovenStatements(document: SourceFile, paths: ReadonlySet<string>): string[] {
  return proseOf(document)
    .split(/\n(?=\s*[-*] )|\n\s*\n/)
    .map((statement) => statement.trim())
    .filter((statement) => /^[-*] /.test(statement))
    .flatMap((statement) => {
      const tests = [...statement.matchAll(/\]\(([^()\s]+\.test\.ts)\)/g)].map(([, target = '']) =>
        target.replace(/^(?:\.\.\/)+/, ''),
      )
      const proven = tests.length > 0 && tests.every((path) => paths.has(path))
      return proven ? [] : [`${document.path}: no test keeps: ${statement.slice(0, 100)}`]
    })
}
