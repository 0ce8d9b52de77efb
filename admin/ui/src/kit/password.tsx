import { PasswordInput, type PasswordInputProps } from '@mantine/core'
import { useText } from '../i18n/text'

/** A password's field, whose button for showing it has a name in the viewer's language. */
export function Password(props: PasswordInputProps) {
  const { t } = useText()
  return <PasswordInput maxLength={256} visibilityToggleButtonProps={{ 'aria-label': t('field.reveal') }} {...props} />
}
