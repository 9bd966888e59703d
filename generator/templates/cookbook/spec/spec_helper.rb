# ChefSpec 9 or newer with fauxhai: `chef exec rspec` in the cookbook's directory, which must be called openssl_patch. Written
# against their documentation: the tests of Styptic check that these files are Ruby, and do not run them.
# Nothing here asks the machine it runs on: what a node would say of its packages and processes is given to each example.

require 'chefspec'

RSpec.configure do |config|
  config.log_level = :error
  config.cookbook_path = ::File.expand_path('../..', __dir__) # the directory that this cookbook stands in
end

# What the examples let a node say.
module Given
  NGINX = { 'pid' => '7', 'kind' => 'service', 'service' => 'nginx', 'user' => 'root', 'library' => '/usr/lib/libssl.so.3',
            'since' => '1', 'build' => 'OpenSSL 3.0.1', 'command' => 'nginx: master process' }.freeze
  POSTGRESQL = NGINX.merge('pid' => '8', 'service' => 'postgresql', 'command' => 'postgres').freeze

  # A node whose package manager, init, services and processes are these; it is fixed by every advisory.
  def node_with(dpkg:, packages:, services: %w(nginx ssh), stale: [])
    allow(OpensslPatch::Packages).to receive(:dpkg?).and_return(dpkg)
    allow(OpensslPatch::Packages).to receive(:found) do |names|
      packages.select { |name| names.include?(name) }.map { |name| OpensslPatch::Package.new(name, nil, '1', false) }
    end
    allow(OpensslPatch::Held).to receive(:among).and_return([])
    allow(OpensslPatch::AptLock).to receive(:wait)
    allow(OpensslPatch::Repository).to receive(:refresh)
    allow(OpensslPatch::Repository).to receive(:behind?).and_return(false)
    allow(OpensslPatch::Services).to receive(:systemd?).and_return(true)
    allow(OpensslPatch::Services).to receive(:exist?) { |name| services.include?(name) }
    allow(OpensslPatch::Probe).to receive(:look).and_return('stale' => stale, 'own_copies' => [], 'reboots' => [], 'unread' => 0)
    allow_any_instance_of(OpensslPatch::Run).to receive(:record)
    allow_any_instance_of(OpensslPatch::Outcome).to receive(:error).and_return(nil)
  end
end

RSpec.configure { |config| config.include(Given) }
