// Pictures of the pages for a person to look at, each also searched by axe: light and dark, English and Indonesian, and a
// phone's screen.
import { accessible, fits, settled } from './browser.mjs'

const phone = { width: 390, height: 844 }
const desk = { width: 1280, height: 800 }

const prefer = (page, language, theme) =>
  page.evaluate(
    async (body) => {
      const r = await fetch('/api/v1/me', {
        method: 'PATCH',
        headers: { 'Content-Type': 'application/json', 'X-Deskbridge': 'e2e' },
        body: JSON.stringify(body),
      })
      if (!r.ok) throw new Error(`preferences: ${r.status}`)
    },
    { language, theme },
  )

async function shot(page, folder, name) {
  await settled(page)
  await page.waitForTimeout(250) // transitions and the last request's answer: a picture has no event to wait for
  await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true })
}

async function all(page, base, folder, paths, suffix = '') {
  for (const language of ['en', 'id']) {
    for (const theme of ['light', 'dark']) {
      await prefer(page, language, theme)
      for (const path of paths) {
        const name = [path.split(/[/?]/)[0], path.includes('/') ? 'detail' : '', suffix, language, theme]
          .filter(Boolean)
          .join('-')
        await page.goto(`${base}/${path}`)
        await shot(page, folder, name)
        await accessible(page, name)
        if (theme === 'light') {
          await page.setViewportSize(phone)
          await shot(page, folder, `${name}-phone`)
          await fits(page, `${name}-phone`)
          if (language === 'en') await accessible(page, `${name}-phone`)
          await page.setViewportSize(desk)
        }
      }
    }
  }
  await prefer(page, 'en', 'auto')
}

/** The pages before signing in, whose language and theme are chosen on them. */
async function front(page, folder, name) {
  for (const language of ['id', 'en']) {
    await page.locator('select').first().selectOption(language)
    for (const theme of ['dark', 'light']) {
      await page.locator('select').last().selectOption(theme)
      await shot(page, folder, `${name}-${language}-${theme}`)
      await accessible(page, `${name}-${language}-${theme}`)
    }
  }
  await page.setViewportSize(phone)
  await shot(page, folder, `${name}-phone`)
  await fits(page, `${name}-phone`)
  await page.setViewportSize(desk)
}

export const shoot = { shot, all, front }
