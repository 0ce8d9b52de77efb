import { Center, Group, Paper, Stack, Text, Title } from '@mantine/core'
import { type ReactNode, useEffect } from 'react'
import { useText } from '../i18n/text'
import { LanguageSelect, ThemeSelect } from '../kit/preferences'

/** The frame of the pages for nobody signed in. */
export function Front({ title, children }: { title: string; children: ReactNode }) {
  const { t } = useText()
  useEffect(() => {
    document.title = `${title} · ${t('app.name')}`
  }, [title, t])
  return (
    <Center component="main" mih="100vh" p="md">
      <Stack w="100%" maw={420} gap="lg">
        <Group justify="center" gap="sm">
          <img src="/icon.svg" alt="" width="36" height="36" />
          <Text size="xl" fw={600}>
            {t('app.name')}
          </Text>
        </Group>
        <Paper withBorder p="xl" shadow="sm">
          <Stack>
            <Title order={1} size="h3">
              {title}
            </Title>
            {children}
          </Stack>
        </Paper>
        <Group grow>
          <LanguageSelect size="xs" />
          <ThemeSelect size="xs" />
        </Group>
      </Stack>
    </Center>
  )
}
