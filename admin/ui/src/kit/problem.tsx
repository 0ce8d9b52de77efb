import { Alert, Button, List, Stack, Text } from '@mantine/core'
import IconAlertTriangle from '@tabler/icons-react/dist/esm/icons/IconAlertTriangle.mjs'
import { isProblem } from '../api/problem'
import type { Key } from '../i18n/dictionary'
import { en } from '../i18n/en'
import { type Translate, useText } from '../i18n/text'

/** A failure in words of the viewer's language. */
export function sentence(t: Translate, e: unknown): string {
  if (!isProblem(e)) return t('problem.internal')
  const key = `problem.${e.code}`
  return t((key in en ? key : 'problem.error') as Key, { detail: e.message, wait: e.wait })
}

/** What went wrong, with the way to try again where there is one. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  const { t } = useText()
  const details = isProblem(error) ? error.errors : []
  return (
    <Alert role="alert" color="red" variant="light" icon={<IconAlertTriangle aria-hidden />} title={t('problem.title')}>
      <Stack gap="xs" align="flex-start">
        <Text size="sm">{sentence(t, error)}</Text>
        {details.length > 0 && (
          <List size="sm">
            {details.map((d) => (
              <List.Item key={`${d.location} ${d.message}`}>
                {d.location && <code>{d.location}</code>} {d.message} {d.fix && t('problem.fix', { fix: d.fix })}
              </List.Item>
            ))}
          </List>
        )}
        {retry && (
          <Button size="xs" variant="default" onClick={retry}>
            {t('app.retry')}
          </Button>
        )}
      </Stack>
    </Alert>
  )
}
