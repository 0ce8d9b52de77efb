// Walks through the panel as its people do: node walk.mjs URL FOLDER. Everything that is wrong is told at the end.
import { readFileSync } from 'node:fs'
import { accessible, ask, check, fault, faults, openBrowser, say, settled, totp } from './browser.mjs'
import { shoot } from './shots.mjs'

const [base, folder] = process.argv.slice(2)
const password = 'correct horse battery'
const browser = await openBrowser()

const button = (page, name) => page.getByRole('button', { name, exact: true })
const heading = (page, name) => page.getByRole('heading', { name, level: 1 })

async function firstRun(page) {
  await page.goto(base)
  await page.waitForURL('**/setup')
  await settled(page)
  await watched(page)
  await accessible(page, 'setup')
  await shoot.front(page, folder, 'setup')
  await button(page, 'Make the administrator').click()
  await page.getByText('Please fill this in.').waitFor()
  const fill = async (code) => {
    await page.getByLabel('One-time code').fill(code)
    await page.getByLabel('Your name').fill('Ayu Admin')
    await page.getByLabel('Login').fill('ayu')
    await page.getByRole('textbox', { name: 'Password', exact: true }).fill(password)
    await page.getByRole('textbox', { name: 'Password again' }).fill(password)
    await button(page, 'Make the administrator').click()
  }
  await fill('AAAA-AAAA-AAAA-AAAA')
  await page.getByText('This is not the code.').waitFor()
  await fill(await ask('code'))
  await heading(page, 'Calls').waitFor()
  await page.getByText('No calls yet').waitFor()
  await accessible(page, 'calls, none yet')
}

/** The policy refuses a style without its nonce, and the watch hears of it: else it would find nothing all along. */
async function watched(page) {
  await page.evaluate(() =>
    document.head.append(Object.assign(document.createElement('style'), { textContent: 'p {}' })),
  )
  await page.waitForTimeout(500)
  const heard = faults.filter((f) => /^(policy|console):/.test(f))
  if (!heard.some((f) => f.startsWith('policy: style-src')))
    fault('the policy let a style without nonce in, or nobody noticed')
  for (const f of heard) faults.splice(faults.indexOf(f), 1)
}

async function settings(page) {
  const yaml = await ask('settings')
  await page.goto(`${base}/settings`)
  await settled(page)
  const text = page.getByLabel('Settings document')
  await text.fill(yaml.replace('country: DE', 'country: XX'))
  await button(page, 'Show changes').click()
  await page.getByText('The document cannot be applied').waitFor()
  await accessible(page, 'settings with a problem')
  await page.screenshot({ path: `${folder}/settings-problem.png`, fullPage: true })
  await page.getByRole('button', { name: /^Show .*country in the document$/ }).click()
  const chosen = await text.evaluate((el) => el.value.slice(el.selectionStart, el.selectionEnd))
  check(chosen.includes('XX'), `the problem's place is ${JSON.stringify(chosen)}`)
  await text.fill('lines: [')
  await button(page, 'Show changes').click()
  await page.getByText('This is not valid YAML').waitFor()
  await text.fill(yaml)
  await page.getByRole('link', { name: 'Calls' }).click()
  await page.getByText('Leave this page and lose them?').waitFor()
  await button(page, 'Cancel').click()
  await button(page, 'Show changes').click()
  await page.getByRole('heading', { name: 'What will change' }).waitFor()
  await page.screenshot({ path: `${folder}/settings-changes.png`, fullPage: true })
  await accessible(page, 'settings with changes')
  await button(page, 'Apply changes').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Apply changes' }).click()
  await page.getByText('The settings are in force.').waitFor()
  const shown = await page.getByLabel('Settings document').inputValue()
  check(shown.includes('(set)') && !shown.includes(JSON.parse(await ask('secret'))), 'the settings show a secret')
  await page.getByText('JSON', { exact: true }).click()
  check((await page.getByLabel('Settings document').inputValue()).startsWith('{'), 'the settings do not turn into JSON')
}

/** A hostile customer calls; the call is seen live, hung up by the panel, and found under Calls. */
async function inbound(page) {
  await page.goto(`${base}/live`)
  await page.getByText('No call is running').waitFor()
  await page.getByText('Connected: changes appear at once').waitFor()
  await shoot.all(page, base, folder, ['live'], 'empty')
  await page.goto(`${base}/live`)
  await page.getByText('No call is running').waitFor()
  const call = await ask('call')
  const row = page.getByRole('row').filter({ hasText: call.shown })
  await row.waitFor()
  say(`the call was on the live page ${Date.now() - call.at} ms after the customer called`)
  await ask('answered')
  await row.getByText('Talking').waitFor()
  await row.getByText(/0:0[1-9]/).waitFor()
  await row.getByText('Opus').or(row.getByText(/PCMA/i)).first().waitFor()
  await accessible(page, 'live with a call')
  await shoot.all(page, base, folder, ['live'])
  await page.goto(`${base}/live`)
  await page.getByRole('button', { name: /^Hang up the call with/ }).click()
  await accessible(page, 'hang up?')
  await page.screenshot({ path: `${folder}/live-hangup.png` })
  await page.getByRole('dialog').getByRole('button', { name: 'Hang up', exact: true }).click()
  await page.getByText('No call is running').waitFor()
  await ask('ended')
  return call
}

async function calls(page, call) {
  await page.getByRole('link', { name: 'Calls' }).click()
  const entry = page.getByRole('row').filter({ hasText: call.shown })
  await entry.waitFor()
  check((await page.locator('img[src="x"]').count()) === 0, 'the customer’s name became an element')
  check(
    !(await page.getByRole('main').textContent()).includes('\u202e'),
    'the customer’s name turns the direction of writing',
  )
  await page.getByRole('link', { name: /^Incoming/ }).click()
  await page.waitForURL(/group=incoming/)
  await page.getByLabel('Search').fill('5678')
  await page.waitForURL(/q=/)
  await entry.waitFor()
  await page.getByLabel('Sort').selectOption('longest')
  await button(page, 'Filters').click()
  await button(page, 'Last 7 days').click()
  await page.waitForURL(/from=.*to=|to=.*from=/)
  const address = page.url()
  await page.goto(address)
  await entry.waitFor()
  check((await page.getByLabel('Search').inputValue()) === '5678', 'the address does not bring the search back')
  await shoot.all(page, base, folder, [new URL(address).pathname.slice(1) + new URL(address).search], 'filtered')
  await page.goto(address)
  await page.getByLabel('Search').fill('nobody at all')
  await page.getByText('No call matches').waitFor()
  await page.getByRole('main').getByRole('link', { name: 'Clear filters' }).click()
  await entry.waitFor()
  for (const format of ['CSV', 'XLSX', 'JSON']) {
    await button(page, 'Export').click()
    const waiting = page.waitForEvent('download')
    await page.getByRole('menuitem', { name: `As ${format}` }).click()
    const file = readFileSync(await (await waiting).path())
    check(file.length > 100, `the ${format} export has ${file.length} bytes`)
    if (format === 'CSV') check(file.includes('4915112345678') && file.includes("'=cmd"), `the CSV export is ${file}`)
    if (format === 'JSON') check(JSON.parse(file).length > 0, `the JSON export is ${file}`)
    if (format === 'XLSX') check(file.subarray(0, 2).toString() === 'PK', 'the XLSX export is no spreadsheet')
  }
  await entry.getByRole('link').first().click()
  await heading(page, /^Call with/).waitFor()
  await page.getByText('The facts kept with the decision give the same decision again.').waitFor()
  await page.getByRole('heading', { name: 'Recording' }).waitFor()
  await page.getByLabel('Note').fill('Asked for <b>the price</b>.')
  await page.getByLabel('Outcome').fill('sold')
  await page.getByRole('combobox', { name: 'Tags' }).fill('vip')
  await page.keyboard.press('Enter')
  await button(page, 'Save').click()
  await page.getByText('Last written by ayu').waitFor()
  return new URL(page.url()).pathname
}

async function people(page) {
  await page.goto(`${base}/users`)
  await button(page, 'Add a user').click()
  const form = page.getByRole('dialog')
  await form.getByRole('button', { name: 'Save' }).click()
  await form.getByText('At least 10 characters.').nth(1).waitFor()
  await form.getByLabel('Name').fill('Budi Agent')
  await form.getByLabel('Login').fill('budi')
  await form.getByLabel('First password').fill(password)
  await form.getByRole('combobox', { name: 'Telephones' }).fill('phone:1001')
  await page.keyboard.press('Enter')
  await form.getByRole('combobox', { name: 'Teams' }).fill('Sales')
  await page.keyboard.press('Enter')
  await accessible(page, 'a new user')
  await page.screenshot({ path: `${folder}/users-add.png` })
  await form.getByRole('button', { name: 'Save' }).click()
  await page.getByRole('row').filter({ hasText: 'budi' }).getByText('Agent', { exact: true }).waitFor()
  await page.goto(`${base}/teams`)
  await page.getByRole('row').filter({ hasText: 'Sales' }).getByText('Budi Agent').waitFor()
  await page.getByRole('button', { name: 'Edit Sales' }).click()
  await page.getByRole('dialog').waitFor()
  await accessible(page, 'a team')
  await page.getByRole('dialog').getByRole('combobox', { name: 'Members' }).click()
  await page.getByRole('option', { name: /Ayu/ }).click()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await page.getByRole('row').filter({ hasText: 'Sales' }).getByText('Ayu Admin').waitFor()
}

async function token(page) {
  await page.goto(`${base}/tokens`)
  await page.getByText('No token', { exact: true }).waitFor()
  await page.getByRole('main').getByRole('button', { name: 'Make a token' }).click()
  const form = page.getByRole('dialog')
  await form.getByLabel('Name').fill('CRM')
  await accessible(page, 'a new token')
  await form.getByRole('button', { name: 'Make a token' }).click()
  const secret = await page.getByRole('textbox', { name: 'Token' }).inputValue()
  await page.screenshot({ path: `${folder}/tokens-secret.png` })
  await button(page, 'I have copied it').click()
  const answer = await fetch(`${base}/api/v1/calls`, { headers: { Authorization: `Bearer ${secret}` } })
  check(answer.status === 200, `the new token gets ${answer.status}`)
  check(!(await page.content()).includes(secret), 'the token is still on the page')
}

async function factor(page) {
  await page.goto(`${base}/profile`)
  await button(page, 'Set up').click()
  await page.getByLabel('Your password, to be sure it is you').fill(password)
  await page.getByRole('dialog').getByRole('button', { name: 'Set up' }).click()
  const qr = page.getByAltText('QR code for the authenticator app')
  await qr.waitFor()
  check((await qr.evaluate((el) => el.naturalWidth)) >= 200, 'the QR code is not drawn')
  await page.screenshot({ path: `${folder}/profile-totp.png` })
  const secret = await page.getByLabel('Key').inputValue()
  await page.getByLabel('Six-digit code').fill(totp(secret))
  await button(page, 'Switch on').click()
  await button(page, 'I have kept them').waitFor()
  const codes = await page.getByRole('dialog').locator('code').allTextContents()
  check(codes.length === 10, `${codes.length} recovery codes`)
  await button(page, 'I have kept them').click()
  await page.getByText('A code of your authenticator app is asked for').waitFor()
  await page.getByRole('button', { name: 'Account of Ayu Admin' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.waitForURL('**/sign-in')
  await settled(page)
  await accessible(page, 'sign in')
  await shoot.front(page, folder, 'sign-in')
  await signIn(page, 'ayu')
  await page.getByRole('heading', { name: 'Second factor' }).waitFor()
  await accessible(page, 'second factor')
  await page.screenshot({ path: `${folder}/sign-in-code.png` })
  await page.getByLabel('Code').fill(totp(secret, 1)) // the next half minute's: each is good once
  await button(page, 'Sign in').click()
  await heading(page, 'Calls').waitFor()
}

async function signIn(page, login, word = password) {
  await page.getByLabel('Login').fill(login)
  await page.getByRole('textbox', { name: 'Password' }).fill(word)
  await button(page, 'Sign in').click()
}

/** The agent sees the call of phone 1001 and nothing of the other, by page and by API. */
async function agent(own, others) {
  const page = await browser.person()
  await page.goto(`${base}${others}`)
  await page.waitForURL(/sign-in\?back=/)
  await signIn(page, 'budi')
  await page.getByText('It may not be yours to see').waitFor()
  await shoot.shot(page, folder, 'call-not-yours')
  await accessible(page, 'a call that is not yours')
  const status = (path) => page.evaluate(async (p) => (await fetch(p)).status, path)
  check((await status(`/api/v1${own}`)) === 200, 'the agent cannot read the own call')
  check((await status(`/api/v1${others}`)) === 404, 'the agent can read another’s call')
  await page.getByRole('link', { name: 'Calls', exact: true }).click()
  await page.locator(`a[href="${own}"]`).waitFor()
  check((await page.locator(`a[href="${others}"]`).count()) === 0, 'the agent’s list has another’s call')
  const menu = await page.getByRole('navigation', { name: 'Main menu' }).getByRole('link').allInnerTexts()
  check(menu.join() === 'Calls,Live,Callbacks,API tokens', `the agent’s menu is ${menu}`)
  for (const path of ['users', 'settings', 'audit', 'system', 'connections', 'teams']) {
    await page.goto(`${base}/${path}`)
    await page.waitForURL('**/calls')
  }
  await shoot.shot(page, folder, 'calls-agent')
  // A session that has ended: what the agent wanted is shown after signing in again.
  await page.context().clearCookies()
  await page.getByRole('link', { name: 'API tokens' }).click()
  await page.getByText('Your session has ended.').waitFor()
  await signIn(page, 'budi')
  await heading(page, 'API tokens').waitFor()
  await page.setViewportSize({ width: 390, height: 844 })
  await button(page, 'Open menu').click()
  await page.getByRole('navigation', { name: 'Main menu' }).getByRole('link', { name: 'Live' }).waitFor()
  await shoot.shot(page, folder, 'menu-phone')
  await accessible(page, 'menu-phone')
  await page.getByRole('navigation', { name: 'Main menu' }).getByRole('link', { name: 'Live' }).click()
  await heading(page, 'Live').waitFor()
  await page.context().close()
}

/** A supervisor reads connections and their own team, and changes neither. */
async function supervisor(admin) {
  const made = await admin.evaluate(
    async (body) => {
      const headers = { 'Content-Type': 'application/json', 'X-Deskbridge': 'e2e' }
      return (await fetch('/api/v1/users', { method: 'POST', headers, body: JSON.stringify(body) })).status
    },
    { login: 'siti', name: 'Siti', role: 'supervisor', teams: ['Sales'], password },
  )
  check(made === 201, `the supervisor is not made: ${made}`)
  const page = await browser.person()
  await page.goto(`${base}/teams`)
  await signIn(page, 'siti')
  await page.getByRole('row').filter({ hasText: 'Sales' }).getByText('Budi Agent').waitFor()
  check((await page.getByRole('main').getByRole('button').count()) === 0, 'a supervisor is offered to change teams')
  const menu = await page.getByRole('navigation', { name: 'Main menu' }).getByRole('link').allTextContents()
  check(menu.join() === 'Calls,Live,Callbacks,Lines,Connections,Teams,API tokens', `the supervisor’s menu is ${menu}`)
  await page.getByRole('link', { name: 'Connections' }).click()
  await page.getByText('Registered', { exact: true }).first().waitFor()
  check((await page.getByText('1002').count()) === 0, 'a supervisor sees a phone of no team of theirs')
  await shoot.shot(page, folder, 'connections-supervisor')
  await page.goto(`${base}/users`)
  await page.waitForURL('**/calls')
  await page.context().close()
}

async function keyboard(page) {
  await page.goto(`${base}/calls`)
  await settled(page)
  await page.keyboard.press('Tab')
  check(
    (await page.evaluate(() => document.activeElement?.textContent)) === 'Skip to content',
    'the first Tab does not reach the skip link',
  )
  await page.keyboard.press('Enter')
  check(
    (await page.evaluate(() => document.activeElement?.id)) === 'content',
    'the skip link does not lead to the content',
  )
  await page.getByRole('link', { name: 'System' }).press('Enter')
  await heading(page, 'System').waitFor()
  await page.waitForFunction(() => document.activeElement?.textContent === 'System')
}

/** Guessing is stopped, and the page says for how long. */
async function lockout() {
  const page = await browser.person()
  await page.goto(`${base}/sign-in`)
  for (let i = 0; i < 8; i++) {
    await signIn(page, 'ayu', `wrong password ${i}`)
    await page.getByRole('alert').waitFor()
    if (await page.getByText(/Try again in \d+ s/).count()) {
      await shoot.shot(page, folder, 'sign-in-locked')
      return
    }
    await button(page, 'Sign in').click({ trial: true })
  }
  fault('eight wrong passwords and no lockout')
}

try {
  const admin = await browser.person()
  await firstRun(admin)
  await settings(admin)
  await ask('phones')
  const call = await inbound(admin)
  const own = await calls(admin, call)
  await ask('dial')
  await people(admin)
  await token(admin)
  await factor(admin)
  await admin.goto(`${base}/calls?group=outgoing`)
  const others = await admin.getByRole('row').getByRole('link').first().getAttribute('href')
  await agent(own, others)
  await supervisor(admin)
  await keyboard(admin)
  await shoot.all(admin, base, folder, [
    'calls',
    own.slice(1),
    'connections',
    'settings',
    'users',
    'teams',
    'tokens',
    'audit',
    'system',
    'profile',
    'nowhere',
  ])
  await lockout()
} catch (e) {
  fault(e.stack)
}
await browser.close()
for (const f of faults) process.stdout.write(`fault ${f.replaceAll('\n', ' | ')}\n`)
process.exit(faults.length > 0 ? 1 : 0)
