# The Chef server's API, each request signed by Chef's own mixlib-authentication.

require "json"
require "net/http"
require "openssl"
require "mixlib/authentication/signedheaderauth"
require_relative "config"

class Chef
  class Server
    API_VERSION = "1".freeze # goiardi announces 0-1

    def initialize(url, client_name, key_path)
      @base = URI(url)
      @client_name = client_name
      unless File.readable?(key_path.to_s)
        raise Exceptions::ConfigurationError, "cannot read the client key #{key_path}; the lab registers its nodes, the stand-in does not"
      end
      @key = OpenSSL::PKey::RSA.new(File.read(key_path))
    end

    # Returns the decoded answer, nil for 404. Raises Chef::Exceptions::Server with the server's own words.
    def get(path)
      answer(request(Net::HTTP::Get, address(path)), missing: true)
    end

    def post(path, body)
      answer(request(Net::HTTP::Post, address(path), JSON.generate(body)))
    end

    def put(path, body)
      answer(request(Net::HTTP::Put, address(path), JSON.generate(body)))
    end

    # Returns the bytes at a URL the server gave, such as a cookbook's file.
    def download(url)
      response = request(Net::HTTP::Get, URI(url))
      refuse(response) unless response.is_a?(Net::HTTPSuccess)
      response.body
    end

    private

    def address(path)
      URI("#{@base.to_s.chomp("/")}/#{path}")
    end

    def connection(address)
      @connections ||= {}
      @connections[[address.host, address.port]] ||= Net::HTTP.new(address.host, address.port).tap do |http|
        http.use_ssl = address.scheme == "https"
        http.ca_file = Config[:ssl_ca_file] if Config[:ssl_ca_file]
        http.open_timeout = http.read_timeout = 60
        http.max_retries = 0
        http.start
      end
    end

    def request(kind, address, body = nil)
      message = kind.new(address)
      message["Accept"] = "application/json"
      message["X-Chef-Version"] = VERSION
      message["X-Ops-Server-API-Version"] = API_VERSION
      if body
        message["Content-Type"] = "application/json"
        message.body = body
      end
      signature(kind::METHOD, address.path, body.to_s).each { |name, value| message[name] = value }
      connection(address).request(message)
    rescue SystemCallError, SocketError, Timeout::Error, EOFError => error
      raise Exceptions::Server, "no answer from the Chef server at #{@base}: #{error.message}"
    end

    def signature(method, path, body)
      version = Config[:authentication_protocol_version]
      Mixlib::Authentication::SignedHeaderAuth.signing_object(
        http_method: method.downcase.to_sym, path: path, body: body, timestamp: Time.now.utc.iso8601, user_id: @client_name,
        proto_version: version, headers: { "X-Ops-Server-API-Version" => API_VERSION },
      ).sign(@key, sign_algorithm: Mixlib::Authentication::SignedHeaderAuth::ALGORITHM_FOR_VERSION.fetch(version), sign_version: version)
    end

    def answer(response, missing: false)
      return JSON.parse(response.body) if response.is_a?(Net::HTTPSuccess)
      return nil if missing && response.is_a?(Net::HTTPNotFound)

      refuse(response)
    end

    def refuse(response)
      said = begin
        Array(JSON.parse(response.body)["error"]).join("; ")
      rescue JSON::ParserError
        response.body.to_s[0, 200]
      end
      raise Exceptions::Server, "the Chef server answered #{response.code} #{response.message}: #{said}"
    end
  end
end
