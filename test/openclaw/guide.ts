/** What the guide "Your first delegated skill" tells its reader to run and to write, so that the tests do the same. */
import { readFile } from 'node:fs/promises'
import { codeBlocks } from '../repository/documents/markdown-files.ts'

const GUIDE = 'docs/guides/openclaw-first-skill.md'

/** The code blocks of a section. @param heading how it begins: `## 2.` */
async function blocksOf(heading: string) {
  const whole = await readFile(new URL(`../../${GUIDE}`, import.meta.url), 'utf8')
  const from = whole.indexOf(heading)
  if (from === -1) throw new Error(`the guide has no ${heading}`)
  const end = whole.indexOf('\n## ', from)
  return codeBlocks({ path: GUIDE, text: whole.slice(from, end === -1 ? undefined : end) })
}

/** Commands of `openclaw` in a section, each as its arguments. */
export async function commandsOfGuide(heading: string): Promise<readonly (readonly string[])[]> {
  const lines = (await blocksOf(heading)).flatMap(({ text }) => text.split('\n'))
  return lines
    .filter((line) => line.startsWith('openclaw '))
    .map((line) => line.split(/ +/).slice(1))
}

/** `plugins.entries.clawmesh.config` of each configuration in a section, in their order. */
export async function configurationsOfGuide(
  heading: string,
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return (await blocksOf(heading))
    .filter(({ language }) => language === 'json')
    .map(({ text }) => ({ ...Object(JSON.parse(text)).plugins.entries.clawmesh.config }))
}
