# A container image with ccd and the programs that it runs: `docker load <result`. deploy/stack/compose.yml runs it.
{
  dockerTools,
  cc-ci,
  busybox,
  cacert,
  gitMinimal,
  openssh,
}:
dockerTools.buildLayeredImage {
  name = "cc-ci";
  tag = cc-ci.version;
  contents = [
    cc-ci
    busybox
    cacert
    gitMinimal
    openssh
    dockerTools.fakeNss
  ];
  extraCommands = ''
    mkdir -p tmp var/lib/ccd
    chmod 1777 tmp
    chmod 0700 var/lib/ccd
  '';
  config = {
    Entrypoint = [ "/bin/ccd" ];
    Cmd = [ "serve" ];
    Env = [
      "PATH=/bin"
      "SSL_CERT_FILE=/etc/ssl/certs/ca-bundle.crt"
      "GIT_SSL_CAINFO=/etc/ssl/certs/ca-bundle.crt"
    ];
    WorkingDir = "/var/lib/ccd";
  };
}
