import { Group, Stack, Text, Title } from '@mantine/core'
import { type ReactNode, useEffect, useRef } from 'react'
import { useText } from '../i18n/text'

let loaded = false // the browser itself reads out the first page

/** A page: its title also names the browser's tab. Everything on the right of the title is an action of the whole page. */
export function Page({
  title,
  text,
  actions,
  children,
}: {
  title: string
  text?: string
  actions?: ReactNode
  children: ReactNode
}) {
  const { t } = useText()
  useEffect(() => {
    document.title = `${title} · ${t('app.name')}`
  }, [title, t])
  // Whoever follows a link hears and tabs on from the new page's title, not from the link that is gone.
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    if (loaded) heading.current?.focus({ preventScroll: true })
    loaded = true
  }, [])
  return (
    <Stack gap="md">
      <Group justify="space-between" align="center" gap="sm">
        <Title order={1} size="h2" ref={heading} tabIndex={-1} className="heading">
          {title}
        </Title>
        {actions && <Group gap="xs">{actions}</Group>}
      </Group>
      {text && (
        <Text c="dimmed" maw="44rem">
          {text}
        </Text>
      )}
      {children}
    </Stack>
  )
}

/** A part of a page with its own heading. */
export function Section({ title, actions, children }: { title: string; actions?: ReactNode; children: ReactNode }) {
  return (
    <Stack component="section" gap="sm">
      <Group justify="space-between">
        <Title order={2} size="h4">
          {title}
        </Title>
        {actions}
      </Group>
      {children}
    </Stack>
  )
}
