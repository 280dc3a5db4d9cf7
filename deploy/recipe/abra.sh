export CONFIG_VERSION=v1

# abra app cmd DOMAIN app kubeconfig: prints a kubeconfig that works from elsewhere. It holds the administrator's token.
kubeconfig() {
  sed "/certificate-authority-data:/,/server:/c\\    server: https://${DOMAIN}" /var/lib/ccd/kubeconfig
}
