// What the walk through the panel needs of a browser and of the test that started it (e2e/panel_test.go).
import { createHmac } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** Asks the test for something only it can do: a line out, a line of JSON back. */
export async function ask(what) {
  process.stdout.write(`ask ${what}\n`)
  const { value, done } = await lines.next()
  if (done) throw new Error(`the test did not answer ${what}`)
  return JSON.parse(value)
}

export const say = (text) => process.stdout.write(`say ${text}\n`)

export const faults = []
export const fault = (text) => {
  if (!faults.includes(text)) faults.push(text)
}

export function check(ok, text) {
  if (!ok) fault(text)
}

/** A browser whose pages report scripts that fail and styles or scripts that the policy refuses. */
export async function openBrowser() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu'],
  })
  return {
    close: () => browser.close(),
    async person(options = {}) {
      // Scripts of ours for axe run past the page's policy, so the policy is watched by what the page itself reports.
      const context = await browser.newContext({
        viewport: { width: 1280, height: 800 },
        locale: 'en-GB',
        timezoneId: 'Asia/Jakarta',
        ...options,
      })
      context.setDefaultTimeout(15_000)
      await context.exposeFunction('reportFault', fault)
      await context.addInitScript(() => {
        addEventListener('securitypolicyviolation', (e) =>
          window.reportFault(
            `policy: ${e.violatedDirective} refused ${e.blockedURI} at ${location.pathname} (${e.sourceFile}:${e.lineNumber} ${e.sample})`,
          ),
        )
      })
      const page = await context.newPage()
      page.on('pageerror', (e) => fault(`script: ${e.message}`))
      page.on('dialog', (d) => {
        fault(`dialog: ${d.message()}`)
        d.dismiss().catch(() => {})
      })
      page.on('console', (m) => {
        // The browser itself writes down every answer that is an error; those are part of the walk.
        if (m.type() === 'error' && !m.text().startsWith('Failed to load resource')) fault(`console: ${m.text()}`)
      })
      return page
    },
  }
}

/** Serious findings of axe on the page as it stands. */
export async function accessible(page, name) {
  await page.evaluate(axe)
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }),
  )
  for (const v of violations) {
    if (process.env.AXE_ALL) say(`axe: ${name}: ${v.id} (${v.impact}): ${v.nodes[0].target}`)
    if (v.impact !== 'serious' && v.impact !== 'critical') continue
    const n = v.nodes[0]
    fault(
      `axe: ${name}: ${v.id} (${v.impact}, ${v.nodes.length}): ${n.target} ${n.html.slice(0, 200)} ${n.any[0]?.message ?? n.all[0]?.message ?? n.none[0]?.message ?? ''}`,
    )
  }
}

/** Waits until nothing of the page is still loading. */
export async function settled(page) {
  await page.locator('h1').first().waitFor()
  await page.waitForFunction(() => !document.querySelector('.mantine-Loader-root'))
  await page.evaluate(() => document.fonts.ready)
}

/** The page is no wider than its window: nothing of it is cut off or needs sideways scrolling. */
export async function fits(page, name) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
  check(over <= 0, `${name} is ${over} px wider than the screen`)
}

/** A TOTP code (RFC 6238) of so many half minutes from now. */
export function totp(secret, skew = 0) {
  const bits = [...secret]
    .map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0'))
    .join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => Number.parseInt(b, 2)))
  const counter = Buffer.alloc(8)
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + skew))
  const mac = createHmac('sha1', key).update(counter).digest()
  const n = mac.readUInt32BE(mac[19] & 15) & 0x7fffffff
  return String(n % 1_000_000).padStart(6, '0')
}
