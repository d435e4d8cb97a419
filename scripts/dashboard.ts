/** Writes the dashboard for Grafana, when it is not what the code makes: `npm run docs`. */
import { readFile, writeFile } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'
import { DASHBOARD_FILE, makeDashboard } from './dashboard/dashboard.ts'

const file = new URL(`../${DASHBOARD_FILE}`, import.meta.url)
const dashboard: unknown = JSON.parse(JSON.stringify(makeDashboard()))
const before: unknown = await readFile(file, 'utf8').then(JSON.parse, () => null)
if (!isDeepStrictEqual(before, dashboard)) {
  await writeFile(file, `${JSON.stringify(dashboard, null, 2)}\n`)
  process.stderr.write(`dashboard: wrote ${DASHBOARD_FILE}\n`)
}
