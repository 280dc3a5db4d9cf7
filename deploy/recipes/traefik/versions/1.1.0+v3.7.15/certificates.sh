#!/bin/sh
# Gives Traefik the certificate that is in this task's secrets, without a restart of Traefik: the pair goes into a folder
# of its own, and then one file that names it is put in its place as a whole. Traefik watches for that file.
set -eu
umask 077
cd /certificates
pair=pairs/$(cat /run/secrets/ssl_cert /run/secrets/ssl_key | sha256sum | cut -c1-16)
mkdir -p "$pair"
cp /run/secrets/ssl_cert "$pair/cert.pem"
cp /run/secrets/ssl_key "$pair/key.pem"
cat >"$pair/tls.new" <<END
tls:
  stores:
    default:
      defaultCertificate:
        certFile: /certificates/$pair/cert.pem
        keyFile: /certificates/$pair/key.pem
END
mv "$pair/tls.new" tls.yml
touch /tmp/given

# Traefik may be reading the pair before this one just now.
sleep 30
for other in pairs/*; do
  if [ "$other" != "$pair" ]; then rm -rf "$other"; fi
done
exec sleep 2147483647
